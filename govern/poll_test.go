package govern

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// A hash proves nothing: who names a set of another principal has to send its keys, and is
// then told that it may not read them.
func TestPoll_ByAnothersHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), team("b")...)...)
		at := s.publish("a.daily/g/k", "secret of a")
		full := s.ask(conf.Position{}, 0, "a.daily/g/k")
		require.Len(t, s.poll("token:a.reader", full).Changed, 1)
		byHash := *full
		byHash.Keys = nil
		require.Len(t, s.poll("token:a.reader", &byHash).Changed, 1, "its own set is known")
		for _, principal := range []string{"token:b.reader", "", "token:nobody"} {
			for _, p := range []conf.Position{{}, s.judge.sealer().seal(at)} {
				byHash.Position, byHash.Wait = p, time.Minute
				start := time.Now()
				resp := s.poll(principal, &byHash)
				assert.True(t, resp.Resync, principal)
				assert.Empty(t, resp.Changed)
				assert.Zero(t, time.Since(start))
			}
			resp := s.poll(principal, full)
			assert.Empty(t, resp.Changed)
			require.Len(t, resp.Denied, 1)
			assert.Equal(t, "not permitted: read on namespace a.daily", resp.Denied[0].Detail)
		}
	})
}

// Keys that may not be read do not affect the others, whether or not they exist, and their
// Held is dropped.
func TestPoll_DeniedKeysAndOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), team("b")...)...)
		s.publishAll("a.daily/g/1", "one", "a.daily/g/2", "two", "b.daily/g/exists", "x")
		keys := []string{"a.daily/g/1", "b.daily/g/exists", "a.daily/g/2", "b.daily/g/not", "_govern/centre/secret", "_x/g/k"}
		req := s.ask(conf.Position{}, time.Minute, keys...)
		for _, k := range []string{"a.daily/g/1", "b.daily/g/exists"} {
			req.Held = append(req.Held, conf.Held{Key: keyOf(t, k), Revision: 1, MD5: conf.MD5Hex("old")})
		}
		start := time.Now()
		for range 2 { // the second time by its hash
			resp := s.poll("token:a.reader", req)
			var changed, denied []string
			for _, c := range resp.Changed {
				changed = append(changed, c.Key.DataID)
			}
			for _, d := range resp.Denied {
				denied = append(denied, d.Key.String())
			}
			assert.Equal(t, []string{"1", "2"}, changed)
			assert.Equal(t, []string{"_govern/centre/secret", "_x/g/k", "b.daily/g/exists", "b.daily/g/not"}, denied)
			req.Keys, req.Position = nil, conf.Position{}
		}
		req.Position, req.Held = s.poll("token:a.reader", req).Position, nil
		resp := s.poll("token:a.reader", req)
		assert.Empty(t, resp.Changed)
		assert.Len(t, resp.Denied, 4)
		assert.Zero(t, time.Since(start), "who is denied keys is told at once")
		assert.EqualValues(t, 1, s.Stats().Decisions)
	})
}

// A revocation at one revision and a secret at the next, which the server applies in one
// batch: a parked poll does not get the secret.
func TestPoll_ARevocationAndASecretInOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		a.setUp(ModeClosed, team("a")...)
		a.publish("a.daily/g/k", "v")
		b := open(t, store, diamond.WithFeedInterval(time.Hour))
		at := b.poll("token:a.reader", b.ask(conf.Position{}, 0, "a.daily/g/k")).Position
		req := b.ask(at, conf.MaxWait, "a.daily/g/k")
		var polls []<-chan *conf.PollResponse
		for range 20 {
			polls = append(polls, b.park("token:a.reader", req))
		}
		watched := make(chan *conf.ChangesResponse, 1)
		go func() {
			resp, err := b.As("token:a.reader").Changes(context.Background(), &conf.ChangesRequest{Namespace: "*", After: at, Wait: conf.MaxWait, Contents: true})
			assert.NoError(t, err)
			watched <- resp
		}()
		synctest.Wait()
		a.write(granted("a.daily", "token:a.releaser", RoleReleaser))
		after := a.publish("a.daily/g/k", "secret")
		b.Nudge(after)
		for _, poll := range polls {
			resp := <-poll
			require.True(t, resp.Resync)
			require.Empty(t, resp.Changed)
		}
		require.Empty(t, (<-watched).Changes)
		require.Equal(t, after.Revision, b.Status().Position.Revision)
		assert.Len(t, b.poll("token:a.reader", req).Denied, 1)
	})
}

// The same for polls that are not parked but on their way, whatever the schedule.
func TestPoll_ARevocationAtAnyMoment(t *testing.T) {
	s := governed(t, team("a")...)
	for i := range 200 {
		s.write(granted("a.daily", "token:a.reader", RoleReader))
		s.publish("a.daily/g/k", "open")
		req := s.ask(conf.Position{}, 0, "a.daily/g/k")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				resp := s.poll("token:a.reader", req)
				for _, c := range resp.Changed {
					assert.Equal(t, conf.MD5Hex("open"), c.MD5)
				}
				fetched, err := s.fetch("token:a.reader", "a.daily/g/k")
				if err != nil {
					assert.ErrorIs(t, err, conf.ErrDenied)
				} else {
					assert.Equal(t, "open", fetched.Entry.Content)
				}
				if len(resp.Denied) > 0 {
					return
				}
			}
		}()
		s.write(granted("a.daily", "token:a.releaser", RoleReleaser))
		s.publish("a.daily/g/k", fmt.Sprint("secret ", i))
		<-done
	}
}

// A change of one principal's rights ends the polls of that principal and wakes nobody else.
func TestPoll_AChangeOfRightsIsOfOnePrincipal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), team("b")...)...)
		s.publishAll("a.daily/g/k", "v", "b.daily/g/k", "v")
		at := s.poll("token:a.reader", s.ask(conf.Position{}, 0, "a.daily/g/k")).Position
		theirs := s.park("token:a.reader", s.ask(at, time.Minute, "a.daily/g/k"))
		others := []<-chan *conf.PollResponse{
			s.park("token:a.releaser", s.ask(at, time.Minute, "a.daily/g/k")),
			s.park("token:b.reader", s.ask(at, time.Minute, "b.daily/g/k")),
		}
		decisions, start := s.Stats().Decisions, time.Now()
		assert.EqualValues(t, 3, decisions)
		s.write(granted("a.daily", "token:a.releaser", RoleReleaser))
		assert.True(t, (<-theirs).Resync)
		assert.Zero(t, time.Since(start), "at once")
		assert.Len(t, s.poll("token:a.reader", s.ask(at, time.Minute, "a.daily/g/k")).Denied, 1)
		for _, other := range others {
			resp := <-other
			assert.False(t, resp.Resync)
			assert.Empty(t, resp.Changed)
		}
		assert.Equal(t, time.Minute, time.Since(start), "others wait on")
		assert.Equal(t, decisions+1, s.Stats().Decisions, "nothing else was decided anew")

		s.write(granted("a.daily", "token:a.releaser", RoleReleaser, "token:a.reader", RoleReader))
		assert.Empty(t, s.poll("token:a.reader", s.ask(conf.Position{}, 0, "a.daily/g/k")).Denied, "a right that is back counts at once")
	})
}

// Setting up an open store, and leaving observe mode, end all polls.
func TestPoll_EndsWithTheMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.New())
		s.publish("public/g/k", "v")
		at := s.poll("", s.ask(conf.Position{}, 0, "public/g/k")).Position
		parked := s.park("", s.ask(at, time.Minute, "public/g/k"))
		s.setUp(ModeObserve)
		assert.True(t, (<-parked).Resync)
		at = s.poll("", s.ask(conf.Position{}, 0, "public/g/k")).Position
		parked = s.park("", s.ask(at, time.Minute, "public/g/k"))
		s.write(&Marker{Mode: ModeClosed})
		assert.True(t, (<-parked).Resync)
		assert.Len(t, s.poll("", s.ask(conf.Position{}, time.Minute, "public/g/k")).Denied, 1)
	})
}

// A position of before the store was governed, as a snapshot has it, is answered with Resync,
// and so is one that was made up; a sealed one goes on, at any server of the store.
func TestPoll_APositionOfBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		s := open(t, store)
		s.publish("a.daily/g/k", "v")
		old := s.Status().Position
		s.setUp(ModeClosed, team("a")...)
		other := open(t, store)
		assert.True(t, s.poll("token:a.reader", s.ask(old, time.Minute, "a.daily/g/k")).Resync)
		at := s.poll("token:a.reader", s.ask(conf.Position{}, 0, "a.daily/g/k")).Position
		assert.Equal(t, at, s.Status().Position)
		assert.Equal(t, at, other.Status().Position)
		plain := s.door.Status().Position
		assert.NotEqual(t, plain.Chain, at.Chain)
		for name, p := range map[string]conf.Position{"plain": plain, "of another revision": {Store: at.Store, Epoch: at.Epoch, Revision: at.Revision - 1, Chain: at.Chain}} {
			assert.True(t, s.poll("token:a.reader", s.ask(p, time.Minute, "a.daily/g/k")).Resync, name)
		}
		_, err := s.As("token:a.reader").Changes(t.Context(), &conf.ChangesRequest{Namespace: "a.daily", After: plain})
		require.ErrorIs(t, err, conf.ErrCompacted)
		foreign := at
		foreign.Store[0]++
		_, err = s.As("token:a.reader").Poll(t.Context(), s.ask(foreign, 0, "a.daily/g/k"))
		require.ErrorIs(t, err, conf.ErrOtherStore)
		_, err = s.As("token:a.reader").Changes(t.Context(), &conf.ChangesRequest{Namespace: "a.daily", After: foreign})
		require.ErrorIs(t, err, conf.ErrOtherStore)

		parked := other.park("token:a.reader", other.ask(at, time.Minute, "a.daily/g/k"))
		s.publish("a.daily/g/k", "w")
		resp := <-parked
		require.False(t, resp.Resync)
		require.Len(t, resp.Changed, 1)
		for range 2 * sealsKept { // the first position is no longer remembered
			s.publish("a.daily/g/other", "x")
		}
		for range sealsKept {
			s.Status()
			s.publish("a.daily/g/other", "y")
		}
		resp = s.poll("token:a.reader", s.ask(at, time.Minute, "a.daily/g/k"))
		require.False(t, resp.Resync)
		require.Len(t, resp.Changed, 1)
		watch, err := s.As("token:a.reader").Changes(t.Context(), &conf.ChangesRequest{Namespace: "a.daily", After: at})
		require.NoError(t, err)
		require.NotEmpty(t, watch.Changes)
		assert.Equal(t, at.Revision+1, watch.Changes[0].Revision)
	})
}

// A poll with a position that the server has not reached waits for it, as without rights.
func TestPoll_APositionAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		a.setUp(ModeClosed, team("a")...)
		b := open(t, store, diamond.WithFeedInterval(time.Hour))
		a.publish("a.daily/g/k", "v")
		ahead := a.Status().Position
		resp := b.poll("token:a.reader", b.ask(ahead, time.Second, "a.daily/g/k"))
		require.False(t, resp.Resync)
		require.Empty(t, resp.Changed)
		require.Equal(t, ahead, resp.Position)
		never := a.judge.sealer().seal(conf.Position{Store: ahead.Store, Epoch: ahead.Epoch, Revision: ahead.Revision + 1})
		start := time.Now()
		_, err := b.As("token:a.reader").Poll(t.Context(), b.ask(never, 2*time.Second, "a.daily/g/k"))
		require.ErrorIs(t, err, conf.ErrBehind)
		assert.Equal(t, 2*time.Second, time.Since(start))
		start = time.Now()
		_, err = b.As("token:a.reader").Poll(t.Context(), b.ask(never, time.Minute, "a.daily/g/k"))
		require.ErrorIs(t, err, conf.ErrBehind)
		assert.Equal(t, reachTime, time.Since(start), "however long it would wait")
		start = time.Now()
		never.Chain[0]++
		assert.True(t, b.poll("token:a.reader", b.ask(never, time.Minute, "a.daily/g/k")).Resync, "one that no server sealed")
		assert.Zero(t, time.Since(start), "is not waited for")
	})
}

// A set of which nothing may be read is answered at once.
func TestPoll_NothingToRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, team("a")...)
		start := time.Now()
		resp := s.poll("", s.ask(conf.Position{}, time.Minute, "a.daily/g/k", "a.daily/g/l", "a.daily/g/k"))
		assert.Len(t, resp.Denied, 2)
		assert.Equal(t, s.Status().Position, resp.Position)
		assert.Zero(t, time.Since(start))
		s.Drain()
		assert.True(t, s.poll("", s.ask(conf.Position{}, time.Minute, "a.daily/g/k")).Draining)
		wrong := s.ask(conf.Position{}, 0, "a.daily/g/k")
		wrong.Set[0]++
		_, err := s.As("token:a.reader").Poll(t.Context(), wrong)
		require.ErrorIs(t, err, conf.ErrInvalid)
	})
}

// The answers of the server are shared, and no caller's is changed by another's.
func TestPoll_SharedAnswersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, team("a")...)
		s.publish("a.daily/g/k", "v")
		at := s.poll("token:a.reader", s.ask(conf.Position{}, 0, "a.daily/g/k")).Position
		one := s.park("token:a.reader", s.ask(at, time.Minute, "a.daily/g/k"))
		two := s.park("token:a.releaser", s.ask(at, time.Minute, "a.daily/g/k"))
		s.publish("a.daily/g/k", "w")
		first, second := <-one, <-two
		require.Len(t, first.Changed, 1)
		assert.Same(t, first.Changed[0].Entry, second.Changed[0].Entry, "one entry for both")
		assert.NotSame(t, first, second)
		assert.Equal(t, first.Position, second.Position)
		assert.Equal(t, s.Status().Position, first.Position, "and it was sealed once")
	})
}

// A token that expires while a request waits gets nothing that is published later.
func TestWaits_EndWithTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := token("a.reader")
		reader.Secrets[0].Expires = time.Now().Add(10 * time.Second)
		other := reader.Secrets[0]
		other.SHA256, other.Expires = hexSum("another"), time.Now().Add(time.Hour)
		reader.Secrets = append(reader.Secrets, other)
		s := governed(t, team("a")...)
		s.write(reader)
		s.publish("a.daily/g/k", "before")
		begun := time.Now()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			resp := s.poll("token:a.reader", s.ask(s.Status().Position, time.Minute, "a.daily/g/k"))
			assert.Equal(t, 10*time.Second, time.Since(begun))
			assert.Empty(t, resp.Changed)
		})
		waiting.Go(func() {
			resp, err := s.As("token:a.reader").Changes(t.Context(), &conf.ChangesRequest{After: s.Status().Position, Namespace: "a.daily", Wait: time.Minute})
			assert.NoError(t, err)
			assert.Equal(t, 10*time.Second, time.Since(begun))
			assert.Empty(t, resp.Changes)
		})
		time.Sleep(11 * time.Second)
		waiting.Wait()
		begun = time.Now()
		resp := s.poll("token:a.reader", s.ask(s.Status().Position, time.Minute, "a.daily/g/k"))
		assert.Equal(t, time.Minute, time.Since(begun), "the other secret is valid for an hour")
		assert.Empty(t, resp.Changed)
	})
}

// Who has proven itself with a certificate gets nothing that is published after its expiry.
func TestWaits_EndWithTheCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, team("a")...)
		s.write(token("a.reader"))
		s.publish("a.daily/g/k", "before")
		ctx := conf.WithProvenUntil(t.Context(), time.Now().Add(10*time.Second))
		begun, as := time.Now(), s.As("token:a.reader")
		var waiting sync.WaitGroup
		waiting.Go(func() {
			req := s.ask(s.Status().Position, time.Minute, "a.daily/g/k")
			resp, err := as.Poll(ctx, req)
			assert.NoError(t, err)
			assert.Equal(t, 10*time.Second, time.Since(begun))
			assert.Empty(t, resp.Changed)
		})
		waiting.Go(func() {
			resp, err := as.Changes(ctx, &conf.ChangesRequest{After: s.Status().Position, Namespace: "a.daily", Wait: time.Minute})
			assert.NoError(t, err)
			assert.Equal(t, 10*time.Second, time.Since(begun))
			assert.Empty(t, resp.Changes)
		})
		waiting.Wait()
	})
}
