package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// register is the model of one key.
type register struct {
	Revision int64
	Content  string
}

type registerIn struct {
	op      string // "put", "cas", "delete" or "get"
	want    int64  // of a cas: the revision that must be there
	content string
}

type registerOut struct {
	conflict bool
	state    register
}

func registerModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return register{} },
		Step: func(state, input, output any) (bool, any) {
			now, in, out := state.(register), input.(registerIn), output.(registerOut)
			switch in.op {
			case "get":
				return out.state == now, now
			case "delete":
				if out.conflict {
					return now.Revision == 0, now
				}
				return now.Revision != 0, register{}
			case "cas":
				if out.conflict {
					return now.Revision != in.want, now
				}
				if now.Revision != in.want {
					return false, now
				}
			}
			return out.state.Revision > now.Revision, out.state
		},
		Equal: func(a, b any) bool { return a == b },
	}
}

// Conditional publishes, deletions and reads that follow them are linearizable,
// through two servers on one storage: a read that names the newest position
// acknowledged anywhere sees all of it.
func TestINV1_ConditionalPublishesAreLinearizable(t *testing.T) {
	store := memstore.New()
	servers := []*servertest.Served{servertest.Serve(t, store, diamond.WithFeedInterval(5*time.Millisecond)), servertest.Start(t, store)}
	const clients = 6
	rounds := campaign.Scale(t, 60, 600)
	var mu sync.Mutex
	var history []porcupine.Operation
	var newest conf.Position
	began := time.Now()
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			srv, known := servers[c%len(servers)], int64(0)
			for r := range rounds {
				in := registerIn{op: []string{"put", "cas", "cas", "delete", "get", "get"}[rand.IntN(6)], want: known, content: fmt.Sprint(c, "-", r)}
				mu.Lock()
				after := newest
				mu.Unlock()
				call := time.Since(began)
				out, at := perform(t, srv, in, after)
				mu.Lock()
				if at.Compare(newest) > 0 {
					newest = at
				}
				history = append(history, porcupine.Operation{ClientId: c, Input: in, Output: out, Call: int64(call), Return: int64(time.Since(began))})
				mu.Unlock()
				known = out.state.Revision
			}
		})
	}
	all.Wait()
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(registerModel(), history, 30*time.Second))
}

func perform(t *testing.T, srv *servertest.Served, in registerIn, after conf.Position) (out registerOut, at conf.Position) {
	k := conf.NewKey("", "register")
	if in.op == "get" {
		resp, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: k, After: after})
		for errors.Is(err, conf.ErrBehind) { // for seconds: the machine is slow
			resp, err = srv.Fetch(t.Context(), &conf.FetchRequest{Key: k, After: after})
		}
		if !assert.NoError(t, err) {
			return out, after
		}
		out.state = register{resp.Entry.Revision, resp.Entry.Content}
		return out, resp.Position
	}
	set := setOf("register", in.content)
	switch in.op {
	case "cas":
		set.Drafts[0].IfRevision = &in.want
	case "delete":
		set = conf.ChangeSet{Deletes: []conf.Delete{{Key: k}}}
	}
	at, err := srv.CommitSet(set)
	if err != nil {
		out.conflict = errors.Is(err, conf.ErrConflict) || errors.Is(err, conf.ErrNotFound)
		assert.True(t, out.conflict, "%v", err)
		return out, srv.MustFetch("register").Position // of what it met
	}
	if in.op != "delete" {
		out.state = register{at.Revision, in.content}
	}
	return out, at
}

// Every answer is a prefix of history: sets that write two keys are never seen
// by half, whatever is being applied meanwhile, and nothing goes back.
func TestINV2_AnswersAreAPrefix(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	a, b := conf.NewKey("", "a"), conf.NewKey("", "b")
	both := func(v string) conf.ChangeSet {
		return conf.ChangeSet{Drafts: []conf.Draft{{Key: a, Content: v}, {Key: b, Content: v}}}
	}
	_, err := srv.CommitSet(both("0"))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for w := range 2 {
		all.Go(func() {
			for i := range campaign.Scale(t, 1500, 20_000) {
				if i%50 == 49 {
					_, err := srv.CommitSet(conf.ChangeSet{Deletes: []conf.Delete{{Key: a}, {Key: b}}})
					if err != nil {
						assert.ErrorIs(t, err, conf.ErrNotFound)
					}
					continue
				}
				_, err := srv.CommitSet(both(fmt.Sprint(w, "-", i)))
				assert.NoError(t, err)
			}
		})
	}
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() { // full comparisons
			for ctx.Err() == nil {
				resp := srv.MustPoll(servertest.PollFor(conf.Position{}, 0, "a", "b"))
				if len(resp.Changed) == 0 {
					continue
				}
				if !assert.Len(t, resp.Changed, 2) || !assert.Equal(t, resp.Changed[0].MD5, resp.Changed[1].MD5) ||
					!assert.LessOrEqual(t, resp.Changed[0].Revision, resp.Position.Revision) {
					return
				}
			}
		})
		readers.Go(func() { // waiting
			at := srv.Status().Position
			for ctx.Err() == nil {
				resp, err := srv.Poll(ctx, servertest.PollFor(at, time.Second, "a", "b"))
				if ctx.Err() != nil {
					return
				}
				if !assert.NoError(t, err) || !assert.False(t, resp.Resync) {
					return
				}
				if len(resp.Changed) > 0 && (!assert.Len(t, resp.Changed, 2) || !assert.Equal(t, resp.Changed[0].Revision, resp.Changed[1].Revision) ||
					!assert.Greater(t, resp.Position.Revision, at.Revision)) {
					return
				}
				at = resp.Position
			}
		})
		readers.Go(func() { // single reads
			var last *conf.FetchResponse
			for ctx.Err() == nil {
				resp := srv.MustFetch("a")
				if last != nil && (!assert.GreaterOrEqual(t, resp.Position.Revision, last.Position.Revision) ||
					!assert.LessOrEqual(t, resp.Entry.Revision, resp.Position.Revision) ||
					resp.Found && !assert.GreaterOrEqual(t, resp.Entry.Revision, last.Entry.Revision)) {
					return
				}
				if resp.Found {
					last = resp
				}
			}
		})
	}
	all.Wait()
	stop()
	readers.Wait()
}

// A watch is filtered, ordered, unique, reliable, atomic and resumable.
func TestINV3_Watch(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	var all sync.WaitGroup
	for w := range 3 {
		all.Go(func() {
			for i := range 100 {
				set := setOf(fmt.Sprintf("in-%d", w), fmt.Sprint(i))
				set.Drafts = append(set.Drafts, conf.Draft{Key: conf.NewKey("", fmt.Sprintf("in-x%d", w)), Content: fmt.Sprint(i)},
					conf.Draft{Key: conf.NewKey("other", "in-z"), Content: fmt.Sprint(i)})
				_, err := srv.CommitSet(set)
				assert.NoError(t, err)
			}
		})
	}
	watch := func(req conf.ChangesRequest, upTo int64) (got []conf.Change) {
		for req.After.Revision < upTo {
			resp, err := srv.Changes(t.Context(), &req)
			if !assert.NoError(t, err) {
				return
			}
			got = append(got, resp.Changes...)
			req.After = resp.Position
		}
		return got
	}
	live := watch(conf.ChangesRequest{Group: conf.DefaultGroup, Prefix: "in-", Wait: time.Second}, 300)
	all.Wait()
	replayed := watch(conf.ChangesRequest{Group: conf.DefaultGroup, Prefix: "in-"}, 300)
	require.Equal(t, replayed, live, "reliable, and resumable from any position")
	require.Len(t, live, 600)
	for i, c := range live {
		assert.EqualValues(t, i/2+1, c.Revision, "ordered, unique, dense")
		assert.Equal(t, i%2, c.Number, "whole sets")
		assert.Equal(t, conf.DefaultGroup, c.Key.Group, "filtered")
		assert.Empty(t, c.Content, "without contents unless asked")
	}
}

// The last of all acknowledged writers wins everywhere, and no writer fails because of
// the others.
func TestDefect_S9_ConcurrentWritersOfOneKey(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	var mu sync.Mutex
	last, content := int64(0), ""
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 300 {
				v := fmt.Sprint(w, "-", i)
				at := srv.Publish("hot", v)
				mu.Lock()
				if at.Revision > last {
					last, content = at.Revision, v
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	got := srv.MustFetch("hot")
	assert.EqualValues(t, 1200, last)
	assert.Equal(t, last, got.Entry.Revision)
	assert.Equal(t, content, got.Entry.Content)
}

// A late retry does not overwrite a newer value.
func TestDefect_S10_LateRetryLoses(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	first := setOf("a", "first")
	first.RequestID = "request-1"
	at, err := srv.CommitSet(first)
	require.NoError(t, err)
	srv.Publish("a", "second")
	again, err := srv.CommitSet(first)
	require.NoError(t, err)
	assert.Equal(t, at, again, "the first outcome")
	assert.Equal(t, "second", srv.MustFetch("a").Entry.Content)
	stale := setOf("a", "third")
	stale.Drafts[0].IfRevision = conf.Revision(at.Revision)
	_, err = srv.CommitSet(stale)
	require.ErrorIs(t, err, conf.ErrConflict)
}

// follower is a client in its simplest form: it applies what polls tell it.
type follower struct {
	ids   []string
	at    conf.Position
	state map[string]conf.KeyState
	full  int // polls from scratch
}

func (f *follower) poll(ctx context.Context, srv *servertest.Served, wait time.Duration) error {
	req := servertest.PollFor(f.at, wait, f.ids...)
	if f.at.IsZero() {
		f.full++
		for id, k := range f.state {
			req.Held = append(req.Held, conf.Held{Key: conf.NewKey("", id), Revision: k.Revision, MD5: k.MD5})
		}
	}
	resp, err := srv.Poll(ctx, req)
	switch {
	case err != nil:
		return err
	case resp.Resync:
		f.at = conf.Position{}
		return nil
	}
	for _, k := range resp.Changed {
		if k.Revision == 0 {
			delete(f.state, k.Key.DataID)
		} else {
			f.state[k.Key.DataID] = k
		}
	}
	f.at = resp.Position
	return nil
}

// Keys are published and deleted in any order, and thousands of tombstones are made and
// dropped. Every follower ends with the state of the server.
func TestINV5_FollowersConverge(t *testing.T) {
	srv := servertest.Serve(t, memstore.New())
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = fmt.Sprint("key-", i)
	}
	ctx, stop := context.WithCancel(t.Context())
	followers := make([]*follower, 4)
	var following sync.WaitGroup
	for i := range followers {
		f := &follower{ids: ids[i*2 : i*2+12], state: make(map[string]conf.KeyState)}
		followers[i] = f
		following.Go(func() {
			for ctx.Err() == nil {
				if err := f.poll(ctx, srv, time.Second); err != nil {
					assert.ErrorIs(t, err, context.Canceled)
				}
				if i == 3 {
					time.Sleep(400 * time.Millisecond) // real time: one is slow
				}
			}
		})
	}
	var writing sync.WaitGroup
	for range 2 {
		writing.Go(func() {
			for range campaign.Scale(t, 1500, 20_000) {
				id := ids[rand.IntN(len(ids))]
				if rand.IntN(2) == 0 {
					srv.Publish(id, fmt.Sprint(rand.Int()))
				} else if _, err := srv.CommitSet(conf.ChangeSet{Deletes: []conf.Delete{{Key: conf.NewKey("", id)}}}); err != nil {
					assert.ErrorIs(t, err, conf.ErrNotFound)
				}
			}
		})
	}
	writing.Go(func() {
		for r := range campaign.Scale(t, 15, 100) {
			var add, drop conf.ChangeSet
			for i := range 1000 {
				k := conf.NewKey("", fmt.Sprintf("noise-%d-%d", r, i))
				add.Drafts = append(add.Drafts, conf.Draft{Key: k, Content: "x"})
				drop.Deletes = append(drop.Deletes, conf.Delete{Key: k})
			}
			_, err := srv.CommitSet(add)
			assert.NoError(t, err)
			_, err = srv.CommitSet(drop)
			assert.NoError(t, err)
		}
	})
	writing.Wait()
	stop()
	following.Wait()
	for _, f := range followers {
		for range 2 { // the second for who had to start afresh
			require.NoError(t, f.poll(t.Context(), srv, 0))
		}
		for _, id := range f.ids {
			got := srv.MustFetch(id)
			k, ok := f.state[id]
			require.Equal(t, got.Found, ok, id)
			require.Equal(t, got.Entry.Revision, k.Revision, id)
			require.Equal(t, got.Entry.MD5, k.MD5, id)
		}
		t.Logf("%d keys at revision %d, %d times from scratch", len(f.state), f.at.Revision, f.full)
	}
}
