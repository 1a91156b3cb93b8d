package inproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// reader reads a key again and again, and notes what fails.
type reader struct {
	over  diamond.Transport
	pause time.Duration
	reads atomic.Int64
}

// read reads until ctx ends. All that it reads must be of a revision in contents.
func (r *reader) read(ctx context.Context, t *testing.T, key diamond.Key, contents *sync.Map) {
	for ctx.Err() == nil {
		resp, err := r.over.Fetch(ctx, &conf.FetchRequest{Key: key})
		switch {
		case ctx.Err() != nil:
			return
		case !assert.NoError(t, err, "a read"), !assert.True(t, resp.Found):
			return
		}
		want, known := contents.Load(resp.Entry.Content)
		if !assert.True(t, known, "%q was never published", resp.Entry.Content) || !assert.Equal(t, want, resp.Entry.Revision) {
			return
		}
		r.reads.Add(1)
		wait(ctx, r.pause)
	}
}

// wait waits so long, or until ctx ends.
func wait(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// S6 and S7 with a real database, which is stopped while clients read and publish:
// no read fails, those who wait go on waiting, publishes fail with what says so,
// and the logs stay short. It is started, and all goes on by itself.
func TestS6_S7_ReadsThroughAnOutage(t *testing.T) {
	count, pause, outage := 10, 50*time.Millisecond, 5*time.Second
	if campaign.On() {
		count, pause, outage = 100, 500*time.Millisecond, time.Minute
	}
	w := NewWorld(t, count+1)
	key := traffic.Key(0)
	var contents sync.Map // revisions by content
	at := w.publish(t, 0, key, "before")
	contents.Store("before", at.Revision)
	for i, n := range w.Nodes {
		eventually(t, func() bool { return n.Server().Status().Position == at }, "node %d has it", i)
	}
	told := w.follow(t, count, key)[0]
	eventually(t, func() bool { return told.Last() == "before" }, "the first value")

	reading, stop := context.WithCancel(t.Context())
	readers := make([]*reader, count)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for i := range readers {
		r := &reader{over: w.Transport(i), pause: pause}
		readers[i] = r
		all.Go(func() { r.read(reading, t, key, &contents) })
	}
	each := func(more int64, what string) {
		t.Helper()
		for i, r := range readers {
			before := r.reads.Load()
			eventually(t, func() bool { return t.Failed() || r.reads.Load() >= before+more }, "reader %d reads %s", i, what)
		}
		require.False(t, t.Failed())
	}
	each(3, "before the outage")

	w.Server.Stop()
	begun := time.Now()
	publishing, end := context.WithCancel(t.Context())
	failed := make([]atomic.Int64, len(w.Nodes))
	var publishers sync.WaitGroup
	defer publishers.Wait()
	defer end()
	for i := range w.Nodes {
		over := w.Direct(i)
		publishers.Go(func() {
			for n := 0; publishing.Err() == nil; n++ {
				set := diamond.ChangeSet{RequestID: fmt.Sprintf("outage-%d-%d", i, n), Drafts: []diamond.Draft{{Key: key, Content: "outage"}}}
				_, err := over.Commit(t.Context(), &conf.CommitRequest{Set: set})
				if !assert.Error(t, err) || !assert.True(t, errors.Is(err, diamond.ErrUnavailable) || errors.Is(err, diamond.ErrUnknownOutcome), "%v", err) {
					return
				}
				failed[i].Add(1)
				wait(publishing, pause)
			}
		})
	}
	for i, n := range w.Nodes {
		eventually(t, func() bool { return n.Server().Status().Stale > 0 }, "node %d knows", i)
		eventually(t, func() bool { return t.Failed() || failed[i].Load() > 10 }, "publishes at node %d fail", i)
		resp, err := w.Direct(i).Fetch(t.Context(), &conf.FetchRequest{Key: key})
		require.NoError(t, err)
		assert.Positive(t, resp.Stale, "a reader is told")
		status, page := get(t, "http://"+n.Addr()+"/readyz?verbose")
		assert.Equal(t, http.StatusOK, status, page)
		assert.Contains(t, page, "[-] storage: ")
	}
	eventually(t, func() bool { return t.Failed() || time.Since(begun) > outage }, "it lasts")
	each(10, "without a database")
	end()
	publishers.Wait()
	lasted := time.Since(begun)
	for i, n := range w.Nodes {
		lines := often(n.Log())
		assert.Positive(t, lines[`msg="request failed" status=503`])
		for what, lines := range lines {
			assert.LessOrEqual(t, lines, 2+int(lasted/time.Second), "node %d: %s", i, what)
		}
	}

	require.NoError(t, w.Server.Start())
	// The revision of the next value is known before anyone can read it: publishes left no hole.
	contents.Store("after", at.Revision+1)
	after := w.publish(t, 1, key, "after")
	assert.Equal(t, at.Revision+1, after.Revision)
	for i, n := range w.Nodes {
		eventually(t, func() bool { s := n.Server().Status(); return s.Position == after && s.Stale == 0 }, "node %d recovers", i)
	}
	eventually(t, func() bool { return told.Last() == "after" }, "who waited through it is told")
	each(3, "after the outage")
	configs := told.Configs()
	assert.Len(t, configs, 2, "each change once")
}

// get asks for a page.
func get(t *testing.T, url string) (status int, page string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

// often returns how often a log has each kind of line, but those for debugging,
// which no server logs unless it is asked to.
func often(log string) map[string]int {
	counts := make(map[string]int)
	kind := regexp.MustCompile(`msg=("[^"]*"|\S+)|status=\d+`)
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "level=DEBUG") {
			counts[strings.Join(kind.FindAllString(line, -1), " ")]++
		}
	}
	return counts
}
