package govern

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

// An open Centre is a server like one without a Centre.
func TestOpenCentre_IsAServer(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, srv diamond.Server) diamond.Transport {
		c, err := New(srv)
		if errors.Is(err, conf.ErrInvalid) { // the case has a server of its own
			return srv
		}
		require.NoError(t, err)
		return c
	})
}

func TestOpenCentre_RefusesTheSystem(t *testing.T) {
	s := open(t, memstore.New())
	for _, key := range []string{"_govern/centre/marker", "_govern/token/t", "_other/g/k"} {
		_, err := s.fetch("", key)
		require.ErrorIs(t, err, conf.ErrDenied)
		require.ErrorIs(t, s.release(root, key, "x"), conf.ErrDenied)
		_, err = s.History(t.Context(), &conf.HistoryRequest{Key: keyOf(t, key)})
		require.ErrorIs(t, err, conf.ErrDenied)
		resp := s.poll("", s.ask(conf.Position{}, time.Minute, key))
		require.Len(t, resp.Denied, 1)
	}
	for _, namespace := range []string{"_govern", "_other"} {
		_, err := s.List(t.Context(), &conf.ListRequest{Namespace: namespace})
		require.ErrorIs(t, err, conf.ErrDenied)
		_, err = s.Changes(t.Context(), &conf.ChangesRequest{Namespace: namespace})
		require.ErrorIs(t, err, conf.ErrDenied)
	}
	p, err := s.Prove(t.Context(), conf.Proof{Token: "whatever"})
	require.NoError(t, err)
	assert.Zero(t, p, "there is nothing to prove it by")
}

func TestNew_OnlyOnAServer(t *testing.T) {
	_, err := New(nil)
	require.ErrorIs(t, err, conf.ErrInvalid)
	srv := servertest.Serve(t, memstore.New())
	_, err = New(srv)
	require.ErrorIs(t, err, conf.ErrInvalid, "it wraps one")
}

// X5: what nobody has granted is denied, and so is everything until the documents are known.
func TestX5_DenyByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, team("a")...)
		s.write(token("newcomer"))
		s.publish("a.daily/g/k", "v")
		for _, principal := range []string{"", "token:newcomer", "token:nobody", "user:x", "cert:dns:x", "nonsense"} {
			_, err := s.fetch(principal, "a.daily/g/k")
			isDenied(t, err, "a.daily")
			isDenied(t, s.release(principal, "a.daily/g/k", "w"), "a.daily")
			_, err = s.fetch(principal, "public/g/k")
			isDenied(t, err, "public")
		}
		resp, err := s.fetch("token:a.reader", "a.daily/g/k")
		require.NoError(t, err)
		assert.Equal(t, "v", resp.Entry.Content)
		isDenied(t, s.release("token:a.reader", "a.daily/g/k", "w"), "a.daily")
		require.NoError(t, s.release("token:a.releaser", "a.daily/g/k", "w"))
	})
}

func TestX5_NoDocumentsYetIsNotOpen(t *testing.T) {
	store := memstore.New()
	broken := &stopped{Store: store}
	broken.stop(true)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, broken)
		_, err := s.fetch("", "public/g/k")
		require.ErrorIs(t, err, conf.ErrUnavailable)
		_, err = s.As("").Poll(t.Context(), s.ask(conf.Position{}, 0, "public/g/k"))
		require.ErrorIs(t, err, conf.ErrUnavailable)
		require.ErrorIs(t, s.release("", "public/g/k", "v"), conf.ErrUnavailable)
		_, err = s.List(t.Context(), &conf.ListRequest{})
		require.ErrorIs(t, err, conf.ErrUnavailable)
		_, err = s.Changes(t.Context(), &conf.ChangesRequest{})
		require.ErrorIs(t, err, conf.ErrUnavailable)
		_, err = s.Prove(t.Context(), conf.Proof{Token: secretOf("x")})
		require.ErrorIs(t, err, conf.ErrUnavailable)
		_, err = s.Report(t.Context(), &conf.ReportRequest{Reports: []conf.Report{{Key: conf.NewKey("", "x")}}})
		require.ErrorIs(t, err, conf.ErrUnavailable)
	})
}

// An outage of the storage is no outage of rights: what was permitted is, and what was not is
// not, for as long as values are served.
func TestX5_TheStorageIsAwayForTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &stopped{Store: memstore.New()}
		s := open(t, storage)
		s.setUp(ModeClosed, team("a")...)
		s.publish("a.daily/g/k", "v")
		storage.stop(true)
		for range 10 {
			time.Sleep(time.Minute)
			p, err := s.Prove(t.Context(), conf.Proof{Token: secretOf("a.reader")})
			require.NoError(t, err)
			resp, err := s.fetch(p.Name, "a.daily/g/k")
			require.NoError(t, err)
			assert.Equal(t, "v", resp.Entry.Content)
			_, err = s.fetch("", "a.daily/g/k")
			isDenied(t, err, "a.daily")
			_, err = s.fetch("token:a.reader", "b.daily/g/k")
			isDenied(t, err, "b.daily")
			poll := s.poll("token:a.reader", s.ask(conf.Position{}, 0, "a.daily/g/k"))
			require.Len(t, poll.Changed, 1)
			_, err = s.Prove(t.Context(), conf.Proof{Token: secretOf("unknown")})
			require.ErrorIs(t, err, conf.ErrUnavailable, "another server may know it")
		}
		storage.stop(false)
		time.Sleep(time.Minute)
		_, err := s.Prove(t.Context(), conf.Proof{Token: secretOf("unknown")})
		require.ErrorIs(t, err, conf.ErrUnauthenticated)
	})
}

// stopped is a storage that can be away.
type stopped struct {
	*memstore.Store
	away atomic.Bool
}

func (s *stopped) stop(away bool) { s.away.Store(away) }

var errAway = conf.Errorf(conf.ErrUnavailable, "away")

func (s *stopped) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	if s.away.Load() {
		return nil, errAway
	}
	return s.Store.Commit(ctx, sets)
}

func (s *stopped) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	if s.away.Load() {
		return conf.Entry{}, errAway
	}
	return s.Store.Read(ctx, key, revision)
}

func (s *stopped) Changes(ctx context.Context, after conf.Position, maxBytes int64) (conf.Batch, error) {
	if s.away.Load() {
		return conf.Batch{}, errAway
	}
	return s.Store.Changes(ctx, after, maxBytes)
}

func (s *stopped) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	if s.away.Load() {
		return conf.Page{}, errAway
	}
	return s.Store.Scan(ctx, req)
}

// A token made at one server is used at another at once, which has not heard of it.
func TestATokenMadeAtAAndUsedAtBAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		a := open(t, store)
		a.setUp(ModeClosed)
		b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
		a.write(team("a")...)
		a.publish("a.daily/g/k", "v")
		start := time.Now()
		p, err := b.Prove(t.Context(), conf.Proof{Token: secretOf("a.reader")})
		require.NoError(t, err)
		assert.Equal(t, "token:a.reader", p.Name)

		a.write(team("b")...)
		a.publish("b.daily/g/k", "v")
		resp, err := b.fetch("token:b.reader", "b.daily/g/k")
		require.NoError(t, err, "a principal that it does not know")
		assert.Equal(t, "v", resp.Entry.Content)

		a.write(&Tenant{Name: "c", Environments: []string{"daily"}}, &Namespace{ID: "c.daily", Tenant: "c", Environment: "daily"},
			granted("c.daily", "token:a.reader", RoleReader))
		a.publish("c.daily/g/k", "v")
		poll := b.poll("token:a.reader", b.ask(conf.Position{}, 0, "c.daily/g/k"))
		assert.Len(t, poll.Changed, 1, "a namespace that it does not know")
		assert.Empty(t, poll.Denied)
		assert.Less(t, time.Since(start), time.Second)
	})
}

// Unknown namespaces and tokens, however many are asked for, cost the storage ten looks a
// second.
func TestUnknownCostsTheStorageTenLooksASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, team("a")...)
		start, asked := time.Now(), 0
		for time.Since(start) < 5*time.Second {
			_, err := s.fetch("token:a.reader", "made-up/g/k")
			isDenied(t, err, "made-up")
			_, err = s.Prove(t.Context(), conf.Proof{Token: secretOf("made up")})
			require.ErrorIs(t, err, conf.ErrUnauthenticated)
			asked += 2
		}
		assert.LessOrEqual(t, asked, 52)
		_, err := s.fetch("token:a.reader", "public/g/k")
		isDenied(t, err, "public")
		assert.EqualValues(t, asked, s.Stats().CatchUps, "what is known and denied catches up with nothing")
	})
}

func TestObserveMode_RefusesNothingAboutValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.New())
		s.setUp(ModeObserve, team("a")...)
		require.NoError(t, s.release("", "a.daily/g/k", "v"))
		require.NoError(t, s.release("", "unregistered/g/k", "v"))
		resp, err := s.fetch("token:a.reader", "unregistered/g/k")
		require.NoError(t, err)
		assert.Equal(t, "v", resp.Entry.Content)
		assert.Len(t, s.poll("", s.ask(conf.Position{}, 0, "a.daily/g/k")).Changed, 1)
		assert.Equal(t, []string{"a.daily/g/k", "unregistered/g/k"}, s.listed("", conf.ListRequest{Namespace: "*"}))
		p, err := s.Prove(t.Context(), conf.Proof{Token: secretOf("made up")})
		require.NoError(t, err)
		assert.Zero(t, p)

		stats := s.Stats()
		assert.Equal(t, conf.ModeObserve, stats.Mode)
		assert.NotZero(t, stats.WouldDeny[conf.DenialRight])
		assert.NotZero(t, stats.WouldDeny[conf.DenialUnregistered])
		assert.NotZero(t, stats.WouldDeny[conf.DenialProof])
		assert.Empty(t, stats.Denied)
		assert.Contains(t, s.log.String(), "observe mode: this would be refused")
		assert.NotContains(t, s.log.String(), "made up")

		require.ErrorIs(t, s.edit("", token("mine")), conf.ErrDenied, "documents stay protected")
		_, err = s.fetch("", "_govern/centre/secret")
		require.ErrorIs(t, err, conf.ErrDenied)
		before := s.Stats().WouldDeny
		_, err = s.fetch("token:a.reader", "a.daily/g/k")
		require.NoError(t, err)
		assert.Equal(t, before, s.Stats().WouldDeny, "what is permitted would not be denied")
	})
}

// A client of one principal is a client like any.
func TestAs_IsAServerForClients(t *testing.T) {
	s := governed(t, team("a")...)
	client, err := diamond.NewClient(s.As("token:a.releaser"))
	require.NoError(t, err)
	defer client.Close()
	at, err := client.Publish(t.Context(), conf.Draft{Key: keyOf(t, "a.daily/g/k"), Content: "v"})
	require.NoError(t, err)
	got, err := client.Get(t.Context(), keyOf(t, "a.daily/g/k"))
	require.NoError(t, err)
	assert.Equal(t, "v", got.Content)
	assert.Equal(t, at.Revision, got.Revision)
	_, err = client.Get(t.Context(), keyOf(t, "public/g/k"))
	require.ErrorIs(t, err, conf.ErrDenied)
	history := 0
	for c, err := range client.History(t.Context(), conf.HistoryRequest{Key: keyOf(t, "a.daily/g/k")}) {
		require.NoError(t, err)
		assert.Equal(t, "token:a.releaser", c.Author.Name)
		history++
	}
	assert.Equal(t, 1, history)
	require.NoError(t, s.As("x").Close(), "it is the Centre's")
	_, err = s.fetch("token:a.reader", "a.daily/g/k")
	require.NoError(t, err)
}

func TestErrorsAreTheServers(t *testing.T) {
	s := governed(t, team("a")...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.As(root).Fetch(ctx, &conf.FetchRequest{Key: conf.NewKey("", "k")})
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.As(root).Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "k k")})
	require.ErrorIs(t, err, conf.ErrInvalid)
	var e *conf.Error
	require.True(t, errors.As(err, &e))
	assert.True(t, e.Remote)
	assert.Equal(t, "fetch", e.Op)
}
