package engine_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Key sets count for the principal, from wherever it polls, and those of an address are of
// its anonymous callers alone.
func TestPoll_KeySetsCountForThePrincipal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.Start(t, memstore.New(), diamond.WithSetKeys(1000, 300))
		as := func(name, address string) context.Context {
			return conf.WithCaller(t.Context(), conf.Caller{Principal: conf.Principal{Name: name}, Address: address})
		}
		park := func(ctx context.Context, i int) {
			req := made(i, 250)
			req.Wait = conf.MaxWait
			go func() { _, _ = srv.Poll(ctx, req) }()
			synctest.Wait()
		}
		park(as("token:a", "192.0.2.1:1"), 1)
		_, err := srv.Poll(as("token:a", "192.0.2.2:1"), made(2, 100))
		require.ErrorIs(t, err, conf.ErrOverloaded, "the same principal from another address")
		_, err = srv.Poll(as("token:b", "192.0.2.1:1"), made(3, 100))
		require.NoError(t, err, "another principal from the same address")
		_, err = srv.Poll(as("", "192.0.2.1:1"), made(4, 100))
		require.NoError(t, err, "nobody from the same address")
	})
}
