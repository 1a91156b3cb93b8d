package govern

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// startCentre returns a Centre on a store, which the end of the test closes.
func startCentre(t *testing.T, store diamond.Storage, opts ...Option) *Centre {
	t.Helper()
	srv, err := diamond.NewServer(store, diamond.WithFeedInterval(time.Millisecond))
	require.NoError(t, err)
	c, err := New(srv, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

// inMode waits until a Centre serves in a mode.
func inMode(t *testing.T, c *Centre, mode string) {
	t.Helper()
	require.Eventually(t, func() bool { return c.Stats().Mode == mode && c.Status().Ready }, 10*time.Second, time.Millisecond)
}

func fetchAs(t *testing.T, c *Centre, principal string) error {
	t.Helper()
	_, err := c.As(principal).Fetch(t.Context(), &conf.FetchRequest{Key: conf.NewKey("", "x").Canonical()})
	return err
}

// A server that requires rights refuses everything before the store is governed, also what is
// loaded.
func TestX5_ARequiredCentreServesNothingBeforeTheSetUp(t *testing.T) {
	store := memstore.New()
	putKeys(t, store, conf.NewKey("", "x"))
	open, required := startCentre(t, store), startCentre(t, store, WithRequired())
	inMode(t, open, conf.ModeOpen)
	require.Eventually(t, func() bool { return open.Status().Ready }, 10*time.Second, time.Millisecond)
	require.NoError(t, fetchAs(t, open, ""))
	for range 100 {
		require.ErrorIs(t, fetchAs(t, required, ""), conf.ErrUnavailable)
		require.False(t, required.Status().Ready)
	}
	_, err := required.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("", "y"), Content: "y"}}}})
	assert.ErrorIs(t, err, conf.ErrUnavailable)
	_, err = required.List(t.Context(), &conf.ListRequest{Namespace: "public"})
	assert.ErrorIs(t, err, conf.ErrUnavailable)
	_, err = required.Poll(t.Context(), &conf.PollRequest{Keys: []conf.Key{conf.NewKey("", "x")}, Set: conf.HashKeys([]conf.Key{conf.NewKey("", "x")})})
	assert.ErrorIs(t, err, conf.ErrUnavailable)
	_, err = required.Poll(t.Context(), &conf.PollRequest{Set: conf.HashKeys([]conf.Key{conf.NewKey("", "x")})})
	assert.ErrorIs(t, err, conf.ErrUnavailable, "and no position by a poll of a set that is not known")
	assert.Zero(t, required.Status().Position.Chain, "nor a chain in another way")
	_, err = required.Prove(t.Context(), conf.Proof{Token: NewTokenSecret()})
	assert.ErrorIs(t, err, conf.ErrUnavailable)

	result, err := SetUp(t.Context(), store, SetUpOptions{})
	require.NoError(t, err)
	for _, c := range []*Centre{open, required} { // all servers follow, without being unready
		inMode(t, c, conf.ModeClosed)
		assert.True(t, c.Status().Ready)
		assert.ErrorIs(t, fetchAs(t, c, ""), conf.ErrDenied)
		who, err := c.Prove(t.Context(), conf.Proof{Token: result.Token})
		require.NoError(t, err)
		assert.Equal(t, "token:setup", who.Name)
		assert.NoError(t, fetchAs(t, c, who.Name))
		_, err = c.Prove(t.Context(), conf.Proof{Token: NewTokenSecret()})
		assert.ErrorIs(t, err, conf.ErrUnauthenticated, "forged, or of another store")
	}
}

// From open to observe no server is unready, and nothing is refused.
func TestSetUp_ALiveCentreInObserveMode(t *testing.T) {
	store := memstore.New()
	putKeys(t, store, conf.NewKey("", "x"))
	c := startCentre(t, store)
	require.Eventually(t, func() bool { return c.Status().Ready }, 10*time.Second, time.Millisecond)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				assert.NoError(t, fetchAs(t, c, ""))
				assert.True(t, c.Status().Ready)
			}
		}
	}()
	_, err := SetUp(t.Context(), store, SetUpOptions{Mode: ModeObserve})
	require.NoError(t, err)
	inMode(t, c, conf.ModeObserve)
	close(stop)
	<-ended
}

func TestDenyFile_RefusesEverythingAtOnce(t *testing.T) {
	store := memstore.New()
	putKeys(t, store, conf.NewKey("", "x"))
	_, err := SetUp(t.Context(), store, SetUpOptions{})
	require.NoError(t, err)
	path := denyFile(t, "user:nobody\n")
	denied, err := ReadDenyFile(path, nil)
	require.NoError(t, err)
	c := startCentre(t, store, WithDenyFile(denied))
	inMode(t, c, conf.ModeClosed)
	require.NoError(t, fetchAs(t, c, "token:setup"))

	// A poll that waits ends, and the next one is denied.
	keys := []conf.Key{conf.NewKey("", "x").Canonical()}
	poll := func(ctx context.Context, held bool) (*conf.PollResponse, error) {
		req := &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys), Wait: time.Minute}
		if held {
			at, err := c.As("token:setup").Fetch(ctx, &conf.FetchRequest{Key: keys[0]})
			if err != nil {
				return nil, err
			}
			req.Position = at.Position
		}
		return c.As("token:setup").Poll(ctx, req)
	}
	answered := make(chan error, 1)
	go func() { _, err := poll(t.Context(), true); answered <- err }()
	require.Eventually(t, func() bool { return c.Status().Waiters == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, os.WriteFile(path, []byte("token:setup # leaked\n"), 0o600))
	denied.Reload()
	select {
	case <-answered:
	case <-time.After(10 * time.Second):
		t.Fatal("the poll goes on waiting")
	}
	assert.ErrorIs(t, fetchAs(t, c, "token:setup"), conf.ErrDenied)
	_, err = c.As("token:setup").Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: keys[0], Content: "z"}}}})
	assert.ErrorIs(t, err, conf.ErrDenied)
	_, err = c.As("token:setup").Fetch(t.Context(), &conf.FetchRequest{Key: KeyOf(KindCentre, "marker")})
	assert.ErrorIs(t, err, conf.ErrDenied, "documents too")
	can, err := c.As("token:setup").(interface {
		Can(context.Context, conf.CanRequest) (conf.CanResponse, error)
	}).Can(t.Context(), conf.CanRequest{Verb: "list", Scope: "all"})
	require.NoError(t, err)
	assert.False(t, can.Allowed)

	require.NoError(t, os.WriteFile(path, nil, 0o600))
	denied.Reload()
	assert.NoError(t, fetchAs(t, c, "token:setup"))
}

// In observe mode, where nothing else is refused, the deny file holds as well.
func TestDenyFile_HoldsInObserveMode(t *testing.T) {
	store := memstore.New()
	putKeys(t, store, conf.NewKey("", "x"))
	_, err := SetUp(t.Context(), store, SetUpOptions{Mode: ModeObserve})
	require.NoError(t, err)
	denied, err := ReadDenyFile(denyFile(t, "anonymous"), nil)
	require.NoError(t, err)
	c := startCentre(t, store, WithDenyFile(denied))
	inMode(t, c, conf.ModeObserve)
	assert.ErrorIs(t, fetchAs(t, c, ""), conf.ErrDenied)
	assert.NoError(t, fetchAs(t, c, "token:unknown"))
}

// A restore or a fork suspends the tokens of before, until somebody confirms them.
func TestRestoreAndRevokedTokens_Suspended(t *testing.T) {
	store := memstore.New()
	putKeys(t, store, conf.NewKey("", "x"))
	result, err := SetUp(t.Context(), store, SetUpOptions{})
	require.NoError(t, err)
	c := startCentre(t, store)
	inMode(t, c, conf.ModeClosed)
	prove := func(secret string) error {
		_, err := c.Prove(t.Context(), conf.Proof{Token: secret})
		return err
	}
	require.NoError(t, prove(result.Token))
	_, err = store.Fork(t.Context(), conf.Position{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return prove(result.Token) != nil }, 10*time.Second, time.Millisecond)
	assert.ErrorIs(t, prove(result.Token), conf.ErrUnauthenticated)
	assert.ErrorIs(t, fetchAs(t, c, "token:setup"), conf.ErrDenied)

	reset, err := ResetToken(t.Context(), store, ResetOptions{})
	require.NoError(t, err)
	assert.NoError(t, prove(reset.Token), "a token that is not known is looked up in the storage")
	assert.ErrorIs(t, prove(result.Token), conf.ErrUnauthenticated)
	_, _, err = KeepCredentials(t.Context(), store, "")
	require.NoError(t, err)
	assert.ErrorIs(t, prove(result.Token), conf.ErrUnauthenticated, "its secret was replaced")
}
