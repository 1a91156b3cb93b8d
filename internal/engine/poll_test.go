package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

func held(dataID string, revision int64, content string) conf.Held {
	h := conf.Held{Key: conf.NewKey("", dataID), Revision: revision}
	if revision != 0 {
		h.MD5 = conf.MD5Hex(content)
	}
	return h
}

// names returns the data ids that an answer says have changed.
func names(resp *conf.PollResponse) []string {
	ids := []string{}
	for _, k := range resp.Changed {
		ids = append(ids, k.Key.DataID)
	}
	return ids
}

// The answer to a poll depends on what the caller holds of each key.
func TestPollComparesWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		srv.Publish("same", "1")    // 1
		srv.Publish("changed", "2") // 2
		at := srv.Publish("gone", "3")
		srv.Publish("changed", "2b") // 4
		srv.Publish("fresh", "5")    // 5
		srv.Remove("gone")           // 6
		ids := []string{"same", "changed", "gone", "fresh", "never"}

		full := servertest.PollFor(conf.Position{}, 0, ids...)
		assert.ElementsMatch(t, []string{"same", "changed", "fresh"}, names(srv.MustPoll(full)), "nothing held")

		full.Held = []conf.Held{held("same", 1, "1"), held("changed", 2, "2"), held("gone", 3, "3")}
		resp := srv.MustPoll(full)
		assert.ElementsMatch(t, []string{"changed", "gone", "fresh"}, names(resp), "some held")
		for _, k := range resp.Changed {
			if k.Key.DataID == "gone" {
				assert.Zero(t, k.Revision)
				assert.Nil(t, k.Entry)
				assert.EqualValues(t, 6, k.View, "the deletion's")
			} else {
				require.NotNil(t, k.Entry)
				assert.Equal(t, k.Revision, k.Entry.Revision)
				assert.Equal(t, k.MD5, conf.MD5Hex(k.Entry.Content))
			}
		}

		since := servertest.PollFor(at, 0, ids...)
		assert.ElementsMatch(t, []string{"changed", "gone", "fresh"}, names(srv.MustPoll(since)), "by position")

		since.Held = []conf.Held{held("same", 0, ""), held("fresh", 5, "5"), held("changed", 4, "2b")}
		assert.ElementsMatch(t, []string{"same", "gone"}, names(srv.MustPoll(since)), "but for what is held otherwise")

		resp = srv.MustPoll(servertest.PollFor(resp.Position, 0, ids...))
		assert.Empty(t, resp.Changed)
		assert.EqualValues(t, 6, resp.Position.Revision, "an empty answer has its position too")

		full.Held = []conf.Held{held("same", 1, "other")}
		assert.Contains(t, names(srv.MustPoll(full)), "same", "the same revision of a history that was lost")
		full.Held = []conf.Held{held("same", 9, "1")}
		assert.Contains(t, names(srv.MustPoll(full)), "same", "the same content at another revision")
	})
}

// The original protocol knows no revisions: its polls compare MD5s alone.
func TestPollByMD5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		srv.Publish("a", "1")
		req := servertest.PollFor(conf.Position{}, time.Minute, "a", "b")
		req.Held = []conf.Held{
			{Key: conf.NewKey("", "a"), Revision: conf.AnyRevision, MD5: conf.MD5Hex("1")},
			{Key: conf.NewKey("", "b"), Revision: conf.AnyRevision},
		}
		answer := srv.Parked(req)
		srv.Publish("a", "1")
		synctest.Wait()
		select {
		case resp := <-answer:
			t.Fatalf("told of %v: the content is the same", names(resp))
		default:
		}
		srv.Publish("b", "")
		synctest.Wait()
		select {
		case resp := <-answer:
			t.Fatalf("told of %v: an empty content is nothing to the original's clients", names(resp))
		default:
		}
		srv.Publish("b", "x")
		assert.Equal(t, []string{"b"}, names(<-answer))

		req.Held[0].MD5 = ""
		assert.ElementsMatch(t, []string{"a", "b"}, names(srv.MustPoll(req)))
		req.Held[0].MD5 = "C4CA4238A0B923820DCC509A6F75849B" // not as the server writes it
		assert.ElementsMatch(t, []string{"a", "b"}, names(srv.MustPoll(req)))
	})
}

func TestPollTimesOutWithItsPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("a", "1")
		start := time.Now()
		answer := srv.Parked(servertest.PollFor(at, 25*time.Second, "a"))
		moved := srv.Publish("other", "2")
		resp := <-answer
		assert.Equal(t, 25*time.Second, time.Since(start))
		assert.Empty(t, resp.Changed)
		assert.Equal(t, moved, resp.Position)

		start = time.Now()
		srv.MustPoll(servertest.PollFor(moved, time.Hour, "a"))
		assert.Equal(t, conf.MaxWait, time.Since(start), "no longer than servers let them")

		start = time.Now()
		srv.MustPoll(servertest.PollFor(moved, -time.Hour, "a"))
		assert.Zero(t, time.Since(start))
		assert.EqualValues(t, 3, srv.Status().Counters.PollTimeout)
		assert.Zero(t, srv.Status().Waiters)
	})
}

func TestPollOfAnUnknownSetAsksForItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("a", "1")
		req := servertest.PollFor(at, time.Minute, "a")
		known := *req
		known.Keys = nil
		resp := srv.MustPoll(&known)
		assert.True(t, resp.Resync)
		assert.Empty(t, resp.Changed)

		req.Wait = 0
		srv.MustPoll(req)
		known.Wait = 0
		assert.False(t, srv.MustPoll(&known).Resync)
		time.Sleep(4 * time.Minute)
		assert.False(t, srv.MustPoll(&known).Resync, "known for some minutes more")
		time.Sleep(10 * time.Minute)
		assert.True(t, srv.MustPoll(&known).Resync, "but not for ever")

		answer := srv.Parked(servertest.PollFor(at, conf.MaxWait, "a"))
		time.Sleep(80 * time.Second)
		srv.Publish("a", "2")
		assert.Equal(t, []string{"a"}, names(<-answer))
	})
}

// A poll that is not valid is refused with an error that helps.
func TestPollRefusesWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("a", "1")
		other := at
		other.Store[0]++
		future := at
		future.Revision++
		many := make([]conf.Key, conf.MaxPollKeys+1)
		twice := servertest.PollFor(at, 0, "a")
		twice.Held = []conf.Held{held("a", 1, "1"), held("a", 2, "2")}
		foreign := servertest.PollFor(at, 0, "a")
		foreign.Held = []conf.Held{held("b", 1, "1")}
		before := servertest.PollFor(at, 0, "a")
		before.Held = []conf.Held{held("0", 1, "1")}
		negative := servertest.PollFor(at, 0, "a")
		negative.Held = []conf.Held{held("a", -2, "1")}
		for name, c := range map[string]struct {
			req  *conf.PollRequest
			want error
			says string
		}{
			"bad key":        {servertest.PollFor(at, 0, "a/b"), conf.ErrInvalid, "dataId"},
			"too many":       {&conf.PollRequest{Keys: many}, conf.ErrTooLarge, "100001"},
			"wrong hash":     {&conf.PollRequest{Keys: []conf.Key{conf.NewKey("", "a")}}, conf.ErrInvalid, "set"},
			"other store":    {servertest.PollFor(other, 0, "a"), conf.ErrOtherStore, ""},
			"held twice":     {twice, conf.ErrInvalid, "held"},
			"not of the set": {foreign, conf.ErrInvalid, "held"},
			"before the set": {before, conf.ErrInvalid, "held"},
			"held nonsense":  {negative, conf.ErrInvalid, "held"},
			"future":         {servertest.PollFor(future, 0, "a"), conf.ErrBehind, ""},
		} {
			_, err := srv.Poll(t.Context(), c.req)
			require.ErrorIs(t, err, c.want, name)
			assert.ErrorContains(t, err, c.says, name)
			var e *conf.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "poll", e.Op)
			assert.True(t, e.Remote, "a server said so")
		}
	})
}

// A poll waits for a server that is behind, but not for long.
func TestC8_PollWaitsForAServerThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := troubledBy(memstore.New())
		srv := servertest.Serve(t, storage)
		peer, err := diamond.NewServer(storage.Storage)
		require.NoError(t, err)
		defer peer.Close()
		ahead := &servertest.Served{Server: peer, T: t}
		srv.Publish("a", "1")

		at := ahead.Publish("a", "2")
		start := time.Now()
		assert.Equal(t, "2", mustFetchAfter(t, srv, "a", at), "the storage has it: no need to wait for the next round")
		assert.Zero(t, time.Since(start))

		storage.fail(conf.ErrUnavailable, "changes")
		at = ahead.Publish("a", "3")
		_, err = srv.Poll(t.Context(), servertest.PollFor(at, time.Minute, "a"))
		require.ErrorIs(t, err, conf.ErrBehind)
		_, err = srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "a"), After: at})
		require.ErrorIs(t, err, conf.ErrBehind, "rather behind than back in time")
		assert.Equal(t, 6*time.Second, time.Since(start))

		storage.heal()
		assert.Equal(t, "3", mustFetchAfter(t, srv, "a", at))
		resp := srv.MustPoll(servertest.PollFor(at, 0, "a"))
		assert.Empty(t, resp.Changed)
	})
}

func mustFetchAfter(t *testing.T, srv *servertest.Served, dataID string, after conf.Position) string {
	t.Helper()
	resp, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", dataID), After: after})
	require.NoError(t, err)
	require.True(t, resp.Found)
	require.GreaterOrEqual(t, resp.Position.Compare(after), 0)
	return resp.Entry.Content
}

// An answer carries contents up to a size each and together, and only names the others.
func TestPollCarriesContentsInline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		full := strings.Repeat("x", conf.InlineContent)
		ids := []string{"large", "small"}
		srv.Publish("large", full+"x")
		srv.Publish("small", "1")
		for i := range 20 {
			ids = append(ids, fmt.Sprintf("full-%02d", i))
			srv.Publish(ids[i+2], full)
		}
		resp := srv.MustPoll(servertest.PollFor(conf.Position{}, 0, ids...))
		require.Len(t, resp.Changed, len(ids))
		var total, inline int
		for _, k := range resp.Changed {
			if k.Entry != nil {
				inline++
				total += len(k.Entry.Content)
				assert.NotEqual(t, "large", k.Key.DataID)
			}
		}
		assert.LessOrEqual(t, total, conf.InlineTotal)
		assert.Equal(t, 16, inline, "16 of 64 KiB fill it")
	})
}

func TestPollsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New(), diamond.WithLimits(2, 10))
		at := srv.Publish("a", "1")
		one, two := srv.Parked(servertest.PollFor(at, time.Minute, "a")), srv.Parked(servertest.PollFor(at, time.Minute, "b"))
		_, err := srv.Poll(t.Context(), servertest.PollFor(at, time.Minute, "a"))
		require.ErrorIs(t, err, conf.ErrOverloaded)
		var e *conf.Error
		require.ErrorAs(t, err, &e)
		assert.Positive(t, e.RetryAfter)
		_, err = srv.Changes(t.Context(), &conf.ChangesRequest{After: at, Wait: time.Minute})
		require.ErrorIs(t, err, conf.ErrOverloaded, "watches wait as well")
		assert.Empty(t, srv.MustPoll(servertest.PollFor(at, 0, "a")).Changed, "who does not wait is served")
		assert.EqualValues(t, 1, srv.Status().Counters.PollShed)
		srv.Drain()
		<-one
		<-two
	})
}

// Parked is called when a poll begins to wait, and not if it is answered or refused before.
func TestPollSaysWhenItBeginsToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New(), diamond.WithLimits(1, 10))
		at := srv.Publish("a", "1")
		calls := 0
		ask := func(wait time.Duration) *conf.PollRequest {
			req := servertest.PollFor(at, wait, "a")
			req.Parked = func() { calls++ }
			return req
		}
		srv.MustPoll(ask(0))
		assert.Zero(t, calls, "it does not wait")
		one := srv.Parked(ask(time.Minute))
		assert.Equal(t, 1, calls)
		_, err := srv.Poll(t.Context(), ask(time.Minute))
		require.ErrorIs(t, err, conf.ErrOverloaded)
		assert.Equal(t, 1, calls, "there is no room to wait")
		srv.Drain()
		<-one
		srv.MustPoll(ask(time.Minute))
		assert.Equal(t, 1, calls, "a server that is closing has nobody wait")
	})
}

func TestC16_PollEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("a", "1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := srv.Poll(ctx, servertest.PollFor(at, time.Minute, "a"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		assert.Zero(t, srv.Status().Waiters)
		assert.EqualValues(t, 1, srv.Status().Counters.PollCanceled)
	})
}

func TestL1_DrainAnswersAllWhoWaitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Serve(t, memstore.New())
		at := srv.Publish("a", "1")
		var answers []<-chan *conf.PollResponse
		for range 100 {
			answers = append(answers, srv.Parked(servertest.PollFor(at, time.Minute, "a")))
		}
		watch := make(chan *conf.ChangesResponse, 1)
		go func() {
			resp, err := srv.Changes(context.Background(), &conf.ChangesRequest{After: at, Wait: time.Minute})
			assert.NoError(t, err)
			watch <- resp
		}()
		synctest.Wait()
		start := time.Now()
		srv.Drain()
		for _, answer := range answers {
			resp := <-answer
			assert.True(t, resp.Draining)
			assert.Equal(t, at, resp.Position)
		}
		assert.True(t, (<-watch).Draining)
		assert.True(t, srv.MustPoll(servertest.PollFor(at, time.Minute, "a")).Draining, "and so is each later one")
		assert.Zero(t, time.Since(start))
		assert.EqualValues(t, 101, srv.Status().Counters.PollDrained)

		at = srv.Publish("a", "2")
		assert.Equal(t, "2", srv.MustFetch("a").Entry.Content, "reads and commits go on")
		changed := srv.MustPoll(servertest.PollFor(conf.Position{}, time.Minute, "a"))
		assert.Equal(t, at, changed.Position)
		assert.Equal(t, []string{"a"}, names(changed))
	})
}
