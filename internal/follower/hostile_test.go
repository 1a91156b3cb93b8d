package follower_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// Servers that ask for all keys in every other answer, such as two servers behind a proxy
// that alternates between them, do not make a client spin.
func TestPoll_EveryOtherAnswerAsksForAllKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		client := clienttest.NewClient(t, c)
		clienttest.Get(t, client, clienttest.KeyA)
		clienttest.Settle()
		var n atomic.Int32
		c.With(func() {
			c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
				time.Sleep(time.Millisecond) // the way there and back
				return &conf.PollResponse{Resync: n.Add(1)%2 == 1, Position: c.Position()}, nil
			}
			c.Announce()
		})
		time.Sleep(time.Minute)
		assert.Less(t, n.Load(), int32(200), "in a minute")
		c.Fail(nil)
		c.Set(clienttest.KeyA, "b")
		time.Sleep(5 * time.Second)
		assert.Equal(t, "b", clienttest.Get(t, client, clienttest.KeyA).Content)
	})
}

// pages is a server that answers every request for a page with the same page.
type pages struct {
	hanging
	asked int
}

func (p *pages) List(context.Context, *conf.ListRequest) (*conf.ListResponse, error) {
	p.asked++
	return &conf.ListResponse{Entries: []conf.Entry{{Key: clienttest.KeyA}, {Key: clienttest.KeyB}}, More: true, Position: clienttest.NewCentre().At}, nil
}

func (p *pages) History(context.Context, *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	p.asked++
	return &conf.HistoryResponse{Changes: []conf.Change{{Revision: 9}, {Revision: 7}}}, nil
}

// A list or a history that never ends is cut off where it repeats itself.
func TestPagesThatBeginAnewAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pages{}
		client := clienttest.NewClient(t, p)
		var keys []conf.Key
		var failed error
		for e, err := range client.List(t.Context(), conf.ListRequest{}) {
			if failed = err; err == nil {
				keys = append(keys, e.Key)
			}
			require.Less(t, p.asked, 10)
		}
		assert.Equal(t, []conf.Key{clienttest.KeyA, clienttest.KeyB}, keys)
		require.ErrorIs(t, failed, conf.ErrUnavailable)

		p.asked = 0
		var revisions []int64
		for change, err := range client.History(t.Context(), conf.HistoryRequest{Key: clienttest.KeyA}) {
			if failed = err; err == nil {
				revisions = append(revisions, change.Revision)
			}
			require.Less(t, p.asked, 10)
		}
		assert.Equal(t, []int64{9, 7}, revisions)
		require.ErrorIs(t, failed, conf.ErrUnavailable)
	})
}

// The outcomes of many keys are reported in several requests, because transports bound
// their size. A server that refuses some of them gets the others.
func TestReports_OfManyKeysGoInSeveralRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2500
		c := clienttest.NewCentre()
		contents := make(map[conf.Key]string)
		for i := range n {
			contents[clienttest.KeyN(i)] = strconv.Itoa(i)
		}
		c.SetAll(contents)
		refusals := 1
		c.OnReport = func(_ context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
			if len(req.Reports) > 1000 {
				return nil, &conf.Error{Err: conf.ErrTooLarge, Remote: true}
			}
			if len(req.Reports) > 1 && refusals > 0 {
				refusals--
				return nil, clienttest.ErrDown
			}
			return nil, nil
		}
		client := clienttest.NewClient(t, c)
		for i := range n {
			clienttest.Subscribe(t, client, clienttest.KeyN(i), &clienttest.Recorder{})
		}
		time.Sleep(time.Minute)
		reported := make(map[conf.Key]bool)
		for _, r := range c.Reported() {
			assert.True(t, r.Applied)
			reported[r.Key] = true
		}
		assert.Len(t, reported, n)
		assert.Len(t, c.Reported(), n, "none twice")
	})
}
