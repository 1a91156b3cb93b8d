package govern

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// knock sends requests with unknown proofs from an address, and returns how many of them the
// server has judged to be unknown, and how many it has refused without a look.
func (s *stage) knock(n int, address string) (judged, refused int) {
	s.t.Helper()
	for i := range n {
		_, err := s.Prove(s.t.Context(), conf.Proof{Token: secretOf(fmt.Sprint("nobody", i)), Address: address})
		switch e := new(conf.Error); {
		case errors.Is(err, conf.ErrUnauthenticated):
			judged++
		case errors.Is(err, conf.ErrOverloaded):
			require.ErrorAs(s.t, err, &e)
			assert.GreaterOrEqual(s.t, e.RetryAfter, time.Second)
			assert.LessOrEqual(s.t, e.RetryAfter, 3*time.Second)
			refused++
		default:
			require.NoError(s.t, err)
		}
	}
	return judged, refused
}

// An address may try only so many unknown proofs. Further ones cost no look at the storage.
// Whoever shares the address with somebody who tries many is served as ever.
func TestX19_UnknownProofsOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited := token("limited")
		limited.Addresses = []string{"10.9.0.0/16"}
		s := governed(t, token("ok"), limited)
		const mallory = "10.0.0.7:1"
		judged, refused := s.knock(1000, mallory)
		elapsed := 100 // at most a refill a second, while the catch-ups took 100 ms each
		assert.GreaterOrEqual(t, judged, DefaultUnknownProofs)
		assert.Less(t, judged, DefaultUnknownProofs+elapsed)
		assert.Equal(t, 1000, judged+refused)
		assert.EqualValues(t, judged, s.Stats().CatchUps, "only those were looked for")
		assert.EqualValues(t, judged, s.Stats().Denied[conf.DenialProof])
		assert.EqualValues(t, refused, s.Stats().Denied[conf.DenialProofRate])

		for range 1000 {
			p, err := s.Prove(t.Context(), conf.Proof{Token: secretOf("ok"), Address: "10.0.0.7:2"})
			require.NoError(t, err, "behind the same address")
			assert.Equal(t, "token:ok", p.Name)
		}
		_, err := s.Prove(t.Context(), conf.Proof{Token: secretOf("limited"), Address: mallory})
		require.ErrorIs(t, err, conf.ErrUnauthenticated, "who holds a secret that is known learns why it is refused")
		p, err := s.Prove(t.Context(), conf.Proof{Address: mallory})
		require.NoError(t, err, "without a proof")
		assert.Empty(t, p.Name)
		_, err = s.Prove(t.Context(), conf.Proof{Token: "no prefix", Address: mallory})
		require.ErrorIs(t, err, conf.ErrOverloaded)

		judged, _ = s.knock(2, "10.0.0.8:1")
		assert.Equal(t, 2, judged, "another address")
		time.Sleep(10 * time.Second)
		judged, _ = s.knock(100, mallory)
		assert.InDelta(t, 10, judged, 2, "one a second comes back")
	})
}

// All addresses of one network of IPv6 count together. A peer in the same process has none.
func TestStrangers_Addresses(t *testing.T) {
	s := newStrangers(5)
	for i := range 5 {
		assert.True(t, s.admit(fmt.Sprintf("[2001:db8:1:2::%x]:443", i)))
	}
	assert.False(t, s.admit("[2001:db8:1:2:ffff::1]:443"))
	assert.True(t, s.admit("[2001:db8:1:3::1]:443"))
	for range 100 {
		assert.True(t, s.admit(""))
	}
	_, err := New(mustServer(t), WithUnknownProofs(0))
	require.ErrorIs(t, err, conf.ErrInvalid)
}

func mustServer(t *testing.T) diamond.Server {
	t.Helper()
	srv, err := diamond.NewServer(memstore.New())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return srv
}

// The anonymous can name namespaces that nobody knows. That is looked up only so often, too,
// and the answer is the same.
func TestX19_UnknownNamespacesOfTheAnonymous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := governed(t, append(team("a"), granted("public", Anonymous, RoleReader))...)
		s.publish("public/g/k", "v")
		ctx := conf.WithCaller(context.Background(), conf.Caller{Address: "10.0.0.7:1"})
		fetch := func(key string) error {
			_, err := s.Fetch(ctx, &conf.FetchRequest{Key: keyOf(t, key)})
			return err
		}
		for i := range 500 {
			namespace := fmt.Sprint("made-up-", i)
			isDenied(t, fetch(namespace+"/g/k"), namespace)
		}
		assert.Less(t, s.Stats().CatchUps, uint64(DefaultUnknownProofs+50))
		require.NoError(t, fetch("public/g/k"), "what is known is served")
		before := s.Stats().CatchUps
		_, err := s.As("token:a.reader").Fetch(ctx, &conf.FetchRequest{Key: keyOf(t, "new/g/k")})
		isDenied(t, err, "new")
		assert.Equal(t, before+1, s.Stats().CatchUps, "a principal is not taken for a stranger")
	})
}

// In observe mode nothing is refused: clients may always have sent a proof for somebody else.
// The storage is spared all the same.
func TestX19_UnknownProofsInObserveMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.New())
		s.setUp(ModeObserve)
		for i := range 500 {
			p, err := s.Prove(t.Context(), conf.Proof{Token: secretOf(fmt.Sprint("other", i)), Address: "10.0.0.7:1"})
			require.NoError(t, err)
			assert.Empty(t, p.Name)
		}
		assert.Less(t, s.Stats().CatchUps, uint64(DefaultUnknownProofs+50))
		assert.NotZero(t, s.Stats().WouldDeny[conf.DenialProofRate])
	})
}

// However many sources there are, only so many are kept, and one that goes on is not forgotten.
func TestSourceRates_AreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSourceRates(0.001, 3)
		for range 3 {
			assert.True(t, s.take("greedy"))
		}
		for i := range 3 * maxSources {
			assert.True(t, s.take(fmt.Sprint(i)))
			if i%1000 == 0 {
				assert.False(t, s.take("greedy"))
			}
			require.LessOrEqual(t, len(s.recent)+len(s.before), maxSources)
		}
	})
}
