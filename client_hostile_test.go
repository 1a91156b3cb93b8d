package diamond_test

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
)

// Servers that ask for all keys in every other answer, as two may that a proxy
// asks in turn, do not make a client spin.
func TestPoll_EveryOtherAnswerAsksForAllKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		client := newClient(t, c)
		get(t, client, keyA)
		settle()
		var n atomic.Int32
		c.with(func() {
			c.onPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
				time.Sleep(time.Millisecond) // the way there and back
				return &conf.PollResponse{Resync: n.Add(1)%2 == 1, Position: c.position()}, nil
			}
			c.announce()
		})
		time.Sleep(time.Minute)
		assert.Less(t, n.Load(), int32(200), "in a minute")
		c.fail(nil)
		c.set(keyA, "b")
		time.Sleep(5 * time.Second)
		assert.Equal(t, "b", get(t, client, keyA).Content)
	})
}

// pages is a server that answers every question for a page with the same one.
type pages struct {
	hanging
	asked int
}

func (p *pages) List(context.Context, *conf.ListRequest) (*conf.ListResponse, error) {
	p.asked++
	return &conf.ListResponse{Entries: []conf.Entry{{Key: keyA}, {Key: keyB}}, More: true, Position: newCentre().at}, nil
}

func (p *pages) History(context.Context, *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	p.asked++
	return &conf.HistoryResponse{Changes: []conf.Change{{Revision: 9}, {Revision: 7}}}, nil
}

// A list or a history that never ends is cut off where it begins anew.
func TestPagesThatBeginAnewAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pages{}
		client := newClient(t, p)
		var keys []conf.Key
		var failed error
		for e, err := range client.List(t.Context(), conf.ListRequest{}) {
			if failed = err; err == nil {
				keys = append(keys, e.Key)
			}
			require.Less(t, p.asked, 10)
		}
		assert.Equal(t, []conf.Key{keyA, keyB}, keys)
		require.ErrorIs(t, failed, conf.ErrUnavailable)

		p.asked = 0
		var revisions []int64
		for change, err := range client.History(t.Context(), conf.HistoryRequest{Key: keyA}) {
			if failed = err; err == nil {
				revisions = append(revisions, change.Revision)
			}
			require.Less(t, p.asked, 10)
		}
		assert.Equal(t, []int64{9, 7}, revisions)
		require.ErrorIs(t, failed, conf.ErrUnavailable)
	})
}

// What became of many keys is reported in several requests, as transports
// bound their size, and a server that refuses some gets the others.
func TestReports_OfManyKeysGoInSeveralRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2500
		c := newCentre()
		contents := make(map[conf.Key]string)
		for i := range n {
			contents[keyN(i)] = strconv.Itoa(i)
		}
		c.setAll(contents)
		refusals := 1
		c.onReport = func(_ context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
			if len(req.Reports) > 1000 {
				return nil, &conf.Error{Err: conf.ErrTooLarge, Remote: true}
			}
			if len(req.Reports) > 1 && refusals > 0 {
				refusals--
				return nil, errDown
			}
			return nil, nil
		}
		client := newClient(t, c)
		for i := range n {
			subscribe(t, client, keyN(i), &recorder{})
		}
		time.Sleep(time.Minute)
		reported := make(map[conf.Key]bool)
		for _, r := range c.reported() {
			assert.True(t, r.Applied)
			reported[r.Key] = true
		}
		assert.Len(t, reported, n)
		assert.Len(t, c.reported(), n, "none twice")
	})
}
