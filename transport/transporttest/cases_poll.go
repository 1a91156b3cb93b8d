package transporttest

import (
	"context"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func pollCases() []testCase {
	return []testCase{
		{"Poll/OnArrival", "a poll compares on arrival: what is not as held is answered at once, with its value", func(f *fixture) {
			old := f.publish("k", "one")
			at := f.publish("k", "two")
			res := f.poll(time.Minute, held("k", old, "one"), nothing("absent"))
			require.Len(f, res.Changed, 1)
			s := res.Changed[0]
			assert.Equal(f, key("k"), s.Key)
			assert.Equal(f, at.Revision, s.Revision)
			assert.Equal(f, at.Revision, s.View)
			assert.Equal(f, conf.MD5Hex("two"), s.MD5)
			require.NotNil(f, s.Entry)
			assert.Equal(f, "two", s.Entry.Content)
			assert.Equal(f, at.Revision, s.Entry.Revision)
			assert.Equal(f, at, res.Position)
			assert.False(f, res.Resync)
			assert.False(f, res.Draining)
		}},
		{"Poll/Woken", "a waiting poll is answered by a change of one of its keys, and only of those", func(f *fixture) {
			at := f.publish("k", "one")
			answers := f.park(f.ask(time.Minute, held("k", at, "one"), nothing("absent")))
			f.publish("foreign", "x")
			select {
			case res := <-answers:
				f.Fatalf("woken by the change of another key: %+v", res)
			case <-time.After(50 * time.Millisecond):
			}
			at = f.publish("k", "two")
			res := f.answer(answers)
			require.Len(f, res.Changed, 1)
			assert.Equal(f, at.Revision, res.Changed[0].Revision)
			assert.Equal(f, "two", res.Changed[0].Entry.Content)
		}},
		{"Poll/Deletion", "a deletion wakes a poll, as a state of revision 0 at a Position not below that held", func(f *fixture) {
			at := f.publish("k", "one")
			answers := f.park(f.ask(time.Minute, held("k", at, "one")))
			gone := f.remove("k")
			res := f.answer(answers)
			require.Len(f, res.Changed, 1)
			assert.Equal(f, key("k"), res.Changed[0].Key)
			assert.Zero(f, res.Changed[0].Revision)
			assert.Nil(f, res.Changed[0].Entry)
			assert.Equal(f, gone, res.Position)
		}},
		{"Poll/Created", "the creation of a key that was polled wakes the poll", func(f *fixture) {
			answers := f.park(f.ask(time.Minute, nothing("k")))
			f.publish("k", "one")
			res := f.answer(answers)
			require.Len(f, res.Changed, 1)
			assert.Equal(f, "one", res.Changed[0].Entry.Content)
		}},
		{"Poll/Timeout", "a poll without a change is answered after Wait, empty, with a Position; with no Wait at once", func(f *fixture) {
			at := f.publish("k", "one")
			started := time.Now()
			res := f.poll(0, held("k", at, "one"))
			assert.Empty(f, res.Changed)
			assert.Equal(f, at, res.Position)
			assert.Less(f, time.Since(started), 30*time.Second)

			started = time.Now()
			res = f.poll(120*time.Millisecond, held("k", at, "one"))
			assert.Empty(f, res.Changed)
			assert.Equal(f, at, res.Position)
			assert.GreaterOrEqual(f, time.Since(started), 100*time.Millisecond)
		}},
		{"Poll/Position", "keys not in Held are known up to Position, and the set is named by its hash once it is known", func(f *fixture) {
			f.publish("a", "one")
			at := f.publish("b", "one")
			req := f.ask(0, nothing("a"), nothing("b"))
			req.Position = at
			res, err := f.tr.Poll(f.ctx, req)
			require.NoError(f, err)
			assert.Empty(f, res.Changed)

			f.publish("b", "two")
			req.Keys = nil
			res, err = f.tr.Poll(f.ctx, req)
			require.NoError(f, err)
			require.Len(f, res.Changed, 1)
			assert.Equal(f, key("b"), res.Changed[0].Key)
		}},
		{"Poll/Unknown", "a set that the server does not know is answered Resync", func(f *fixture) {
			res, err := f.tr.Poll(f.ctx, &conf.PollRequest{Set: conf.HashKeys([]conf.Key{key("never-seen")}), Wait: time.Minute})
			require.NoError(f, err)
			assert.True(f, res.Resync)
			assert.Empty(f, res.Changed)
		}},
		{"Poll/AnyRevision", "a Held with AnyRevision is compared by MD5 alone", func(f *fixture) {
			f.publish("k", "one")
			f.publish("k", "two")
			f.publish("k", "one")
			same := conf.Held{Key: key("k"), Revision: conf.AnyRevision, MD5: conf.MD5Hex("one")}
			assert.Empty(f, f.poll(0, same).Changed)
			same.MD5 = conf.MD5Hex("two")
			assert.Len(f, f.poll(0, same).Changed, 1)
		}},
		{"Poll/Whole", "the changes of one set come in one answer", func(f *fixture) {
			answers := f.park(f.ask(time.Minute, nothing("a"), nothing("b"), nothing("c")))
			f.commit(conf.ChangeSet{Drafts: []conf.Draft{
				{Key: key("a"), Content: "1"}, {Key: key("b"), Content: "2"}, {Key: key("c"), Content: "3"},
			}})
			assert.Len(f, f.answer(answers).Changed, 3)
		}},
		{"Poll/Inline", "values are carried inline within their limits, else named", func(f *fixture) {
			large := strings.Repeat("x", conf.InlineContent+1)
			f.publish("large", large)
			f.publish("small", "s")
			res := f.poll(0, nothing("large"), nothing("small"))
			require.Len(f, res.Changed, 2)
			for _, s := range res.Changed {
				assert.Equal(f, s.Key == key("small"), s.Entry != nil, "%s", s.Key)
				assert.Len(f, s.MD5, 32)
			}
		}},
		{"Poll/Drain", "a drain answers parked polls and watches at once, and later ones that would wait", func(f *fixture) {
			at := f.publish("k", "one")
			req := f.ask(time.Minute, held("k", at, "one"))
			answers := f.park(req)
			watched := make(chan *conf.ChangesResponse, 1)
			go func() {
				if res, err := f.tr.Changes(f.ctx, &conf.ChangesRequest{After: at, Wait: time.Minute}); assert.NoError(f, err) {
					watched <- res
				}
				close(watched)
			}()
			f.parked(2)
			f.srv.Drain()
			assert.True(f, f.answer(answers).Draining)
			if res := <-watched; assert.NotNil(f, res) {
				assert.True(f, res.Draining)
				assert.Equal(f, at, res.Position)
			}
			res, err := f.tr.Poll(f.ctx, req)
			require.NoError(f, err)
			assert.True(f, res.Draining)
			assert.True(f, f.fetch(key("k")).Found, "reads go on")
		}},
		{"Poll/Canceled", "a parked poll ends when its context does, at the server too", func(f *fixture) {
			at := f.publish("k", "one")
			ctx, cancel := context.WithCancel(f.ctx)
			ended := make(chan error, 1)
			go func() {
				_, err := f.tr.Poll(ctx, f.ask(time.Minute, held("k", at, "one")))
				ended <- err
			}()
			f.parked(1)
			cancel()
			assert.ErrorIs(f, <-ended, context.Canceled)
			f.parked(0)
		}},
		{"Poll/Denied", "keys that the caller may not read are told at once, and hide no change of the others; of the set that is known by its hash too", func(f *fixture) {
			system := conf.Key{Namespace: "_users", Group: "g", DataID: "root"}
			req := f.ask(time.Minute, nothing("k"))
			req.Keys = append(req.Keys, system)
			req.Set = conf.HashKeys(req.Keys)
			req.Held = append(req.Held, conf.Held{Key: system})
			for range 2 {
				res, err := f.tr.Poll(f.ctx, req)
				require.NoError(f, err)
				assert.Empty(f, res.Changed)
				require.Len(f, res.Denied, 1)
				assert.Equal(f, system, res.Denied[0].Key)
				assert.Contains(f, res.Denied[0].Detail, "_users")
				req.Keys = nil
			}
			at := f.publish("k", "one")
			res, err := f.tr.Poll(f.ctx, req)
			require.NoError(f, err)
			require.Len(f, res.Changed, 1)
			assert.Equal(f, key("k"), res.Changed[0].Key)
			assert.Len(f, res.Denied, 1)
			req.Position, req.Held = at, nil
			res, err = f.tr.Poll(f.ctx, req)
			require.NoError(f, err)
			assert.Empty(f, res.Changed)
			assert.Len(f, res.Denied, 1, "also where nothing else is to say")

			only := &conf.PollRequest{Keys: []conf.Key{system, system}, Set: conf.HashKeys([]conf.Key{system}), Wait: time.Minute}
			res, err = f.tr.Poll(f.ctx, only)
			require.NoError(f, err)
			assert.Empty(f, res.Changed)
			assert.Len(f, res.Denied, 1)
			assert.False(f, res.Resync)
		}},
		{"Poll/Invalid", "a bad poll is ErrInvalid", func(f *fixture) {
			bad := f.ask(0, nothing("k"))
			bad.Set[0]++
			_, err := f.tr.Poll(f.ctx, bad)
			assert.ErrorIs(f, err, conf.ErrInvalid, "keys that do not have the hash")
			_, err = f.tr.Poll(f.ctx, f.ask(0, nothing("a b")))
			assert.ErrorIs(f, err, conf.ErrInvalid, "a key that breaks the grammar")
		}},
	}
}

// park parks a poll at the server, and returns the channel that gets its answer.
func (f *fixture) park(req *conf.PollRequest) <-chan *conf.PollResponse {
	f.Helper()
	waiters := f.srv.Status().Waiters
	answers := make(chan *conf.PollResponse, 1)
	go func() {
		if res, err := f.tr.Poll(f.ctx, req); assert.NoError(f, err) {
			answers <- res
		}
		close(answers)
	}()
	f.parked(waiters + 1)
	return answers
}

// answer waits for the answer to a parked poll.
func (f *fixture) answer(answers <-chan *conf.PollResponse) *conf.PollResponse {
	f.Helper()
	res := <-answers
	require.NotNil(f, res)
	return res
}
