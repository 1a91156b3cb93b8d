package proc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/report"
	"github.com/linnaname/gdiamond/robust/traffic"
	"github.com/linnaname/gdiamond/robust/validate"
)

// patiently is a target whose readers ask again where no server had caught up in
// the time that it has for that, as on a machine that is busy, until they have
// what they asked for. One that never catches up has the read fail.
type patiently struct {
	*World
	from  int          // the first client that reads
	again atomic.Int64 // how often one asked again
}

func (p *patiently) Transport(client int) diamond.Transport {
	if client < p.from {
		return p.World.Transport(client)
	}
	return again{p.World.Transport(client), &p.again}
}

type again struct {
	diamond.Transport
	count *atomic.Int64
}

func (a again) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	for first := time.Now(); ; a.count.Add(1) {
		began := time.Now()
		resp, err := a.Transport.Fetch(ctx, req)
		// An answer of this kind that comes sooner did not wait for the server to catch up.
		if !errors.Is(err, diamond.ErrBehind) || time.Since(began) < 2*time.Second || time.Since(first) > patience {
			return resp, err
		}
	}
}

// L1 and L2: servers are stopped and started one after the other under load.
// Each ends in good order, no read fails, watches miss nothing, and subscribers
// end with what there is.
func TestL1_L2_RollingRestartsUnderLoad(t *testing.T) {
	config := traffic.Config{
		Seed: rand.Uint64(), Keys: 4, Subscribers: 20, Watchers: 4, Publishers: 4, Readers: 6,
		Pause: 50 * time.Millisecond, MaxContent: 1000,
	}
	w := world(t, config.Clients())
	recorder := record.New(config.Seed)
	asking := &patiently{World: w, from: config.Clients() - config.Readers}
	load := traffic.Start(asking, config, recorder)
	for range campaign.Scale(t, 2, 5) {
		for _, p := range w.Processes {
			require.NoError(t, p.Stop(), "it exits with 0")
			require.NoError(t, p.Start())
		}
	}
	store, err := w.Database.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, w.Judge(t.Context(), load, config.Keys, store, recorder))
	h := recorder.History()
	report.Check(t, h, w.Logs())
	reads := 0
	for _, o := range h.Ops {
		if o.Kind != record.Get {
			continue
		}
		reads++
		if o.Outcome != record.OK { // they are canceled when the readers are stopped
			assert.Contains(t, o.Error, "context canceled", "a read failed: %s", o.Error)
		}
	}
	assert.Positive(t, reads)
	t.Logf("%d reads, asked again %d times", reads, asking.again.Load())
	for _, watch := range h.Watches {
		assert.Empty(t, watch.Ended)
	}
}

// SIGTERM in the middle of publishes: each is committed and acknowledged, or
// not acknowledged.
func TestL8_TerminatedDuringPublishes(t *testing.T) {
	w := world(t, 0)
	for round := range 3 {
		recorder := record.New(0)
		var ending atomic.Bool
		var publishing sync.WaitGroup
		for i := range 40 {
			publishing.Go(func() {
				for n := 0; ; n++ {
					o := record.Op{ID: fmt.Sprintf("r%d-%d-%d", round, i, n), Kind: record.Put, Keys: []string{traffic.Key(0).String()}, Outcome: record.OK, Call: recorder.Now()}
					o.Digest = record.Digest(o.ID)
					resp, err := w.Direct(0).Commit(t.Context(), set(o.ID, o.ID))
					o.Return = recorder.Now()
					if err != nil {
						o.Outcome, o.Error = traffic.OutcomeOf(err), err.Error()
					} else {
						o.Revision = resp.Position.Revision
					}
					recorder.Op(o)
					if err != nil && ending.Load() {
						return
					}
				}
			})
		}
		w.await(t, func() bool { return recorder.Len() > 200 })
		ending.Store(true)
		require.NoError(t, w.Processes[0].Stop(), "it exits with 0")
		publishing.Wait()
		h := w.dump(t)
		h.Ops = recorder.History().Ops
		require.Empty(t, validate.Acknowledged(h))
		require.Empty(t, validate.Order(h))
		require.NoError(t, w.Processes[0].Start())
	}
}

func (w *World) await(t *testing.T, good func() bool) {
	t.Helper()
	require.Eventually(t, good, patience, 10*time.Millisecond)
}

// A server is paused while others publish: it answers nobody from before the
// pause who has seen more, and polls that were parked get what there is now.
func TestN15_PausedServer(t *testing.T) {
	w := world(t, 1)
	first := w.commit(t, 0, set("first", "1"))
	over := w.Direct(0)
	poll := func() (*conf.PollResponse, error) {
		keys := []diamond.Key{traffic.Key(0)}
		return over.Poll(t.Context(), &conf.PollRequest{Set: conf.HashKeys(keys), Keys: keys, Position: first.Position, Wait: 60 * time.Second})
	}
	w.only(0, 0)
	l := follow(t, w.Transport(0), traffic.Key(0))
	l.await(t, "1")
	parked := make(chan *conf.PollResponse, 1)
	go func() {
		resp, err := poll()
		assert.NoError(t, err)
		parked <- resp
	}()
	w.Processes[0].Signal(syscall.SIGSTOP)
	second := w.commit(t, 1, set("second", "2"))
	reading := make(chan error, 1)
	go func() {
		for { // the question is on its way while the server is paused
			resp, err := over.Fetch(t.Context(), &conf.FetchRequest{Key: traffic.Key(0), After: second.Position})
			if err == nil {
				assert.Equal(t, "2", resp.Entry.Content, "a read that must see all that was acknowledged")
				assert.GreaterOrEqual(t, resp.Position.Revision, second.Position.Revision)
				reading <- nil
				return
			}
			if t.Context().Err() != nil {
				reading <- err
				return
			}
		}
	}()
	time.Sleep(3 * time.Second) // real time: for so long the server is paused
	w.Processes[0].Signal(syscall.SIGCONT)
	require.NoError(t, <-reading)
	l.await(t, "2")
	if resp := <-parked; resp != nil && len(resp.Changed) > 0 {
		assert.Equal(t, second.Position.Revision, resp.Changed[0].Revision)
	}
	for i, config := range l.Configs() {
		assert.True(t, i == 0 || config.Revision > l.Configs()[i-1].Revision, "INV-4")
	}
}

// A server starts and serves while its name server cannot be reached, its log
// cannot be written, and, with a copy on disk, its database is down.
func TestL11_NoSelfDependency(t *testing.T) {
	w := world(t, 0)
	w.commit(t, 1, set("first", "1"))
	data := filepath.Join(t.TempDir(), "data")
	addr, err := cluster.FreeAddress()
	require.NoError(t, err)
	unread, broken, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, unread.Close())
	defer broken.Close()
	p := &cluster.Process{Address: addr, Stderr: broken, Command: func(addr string) *exec.Cmd {
		return w.command(addr, w.Database.Via(2), data, "http://127.0.0.1:1")
	}}
	require.NoError(t, p.Start())
	defer func() { require.NoError(t, p.Stop()) }()
	read := func() {
		t.Helper()
		w.await(t, func() bool {
			resp, err := w.DirectTo(addr).Fetch(t.Context(), &conf.FetchRequest{Key: traffic.Key(0)})
			return err == nil && resp.Found && resp.Entry.Content == "1"
		})
	}
	read()
	w.await(t, func() bool { return metric(t, addr, "diamond_replica_lag_revisions") == 0 }) // the copy is written after the fact
	w.Server.Stop()
	require.NoError(t, p.Stop())
	require.NoError(t, p.Start())
	read()
	require.NoError(t, w.Server.Start())
}
