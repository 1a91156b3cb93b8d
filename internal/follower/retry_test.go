package follower_test

import (
	"context"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport/transporttest"
)

// calls are the calls that ask servers once.
var calls = map[string]func(ctx context.Context, c diamond.Client) error{
	"read": func(ctx context.Context, c diamond.Client) error {
		_, err := c.Read(ctx, clienttest.KeyA, 1)
		return err
	},
	"head": func(ctx context.Context, c diamond.Client) error { _, err := c.Head(ctx); return err },
	"list": func(ctx context.Context, c diamond.Client) error { return drained(c.List(ctx, conf.ListRequest{})) },
	"history": func(ctx context.Context, c diamond.Client) error {
		return drained(c.History(ctx, conf.HistoryRequest{Key: clienttest.KeyA}))
	},
	"commit": func(ctx context.Context, c diamond.Client) error {
		_, err := c.Publish(ctx, conf.Draft{Key: clienttest.KeyA, Content: "2"})
		return err
	},
}

func drained[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// Servers are down for some seconds, overloaded, closing or behind. Every call gets its
// answer when they are back, if its caller waits for so long.
func TestClient_CallsOutlastServersThatRestart(t *testing.T) {
	for why, fault := range map[string]error{
		"away":       conf.Errorf(conf.ErrUnavailable, "down"),
		"overloaded": &conf.Error{Err: conf.ErrOverloaded, Remote: true, RetryAfter: time.Second},
		"closing":    &conf.Error{Err: conf.ErrClosed, Remote: true},
		"behind":     &conf.Error{Err: conf.ErrBehind, Remote: true},
	} {
		for name, call := range calls {
			t.Run(name+"/"+why, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, network := faultyClient(t)
					network.Fail(fault)
					time.AfterFunc(3*time.Second, network.Heal)
					started := time.Now()
					require.NoError(t, call(context.Background(), client))
					assert.GreaterOrEqual(t, time.Since(started), 3*time.Second)
				})
			})
		}
	}
}

// If servers do not come back, a call ends with its caller's deadline, and its error has
// the reason. A closed server does not mean that the client is closed.
func TestClient_CallsEndWithTheirCallersPatience(t *testing.T) {
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, network := faultyClient(t)
				network.Fail(&conf.Error{Err: conf.ErrClosed, Remote: true})
				started := time.Now()
				err := call(context.Background(), client)
				require.ErrorIs(t, err, conf.ErrUnavailable)
				require.NotErrorIs(t, err, conf.ErrClosed)
				assert.Contains(t, err.Error(), "the server is closed")
				assert.Equal(t, 10*time.Second, time.Since(started))

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err = call(ctx, client)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorIs(t, err, conf.ErrUnavailable)
				assert.Equal(t, 11*time.Second, time.Since(started))

				network.Fail(&conf.Error{Err: conf.ErrDenied, Remote: true})
				require.ErrorIs(t, call(context.Background(), client), conf.ErrDenied)
				network.Fail(&conf.Error{Err: conf.ErrUnauthenticated, Remote: true})
				require.ErrorIs(t, call(context.Background(), client), conf.ErrUnauthenticated)
				assert.Equal(t, 11*time.Second, time.Since(started), "what is final is not asked again")
			})
		})
	}
}

// A watch resumes as soon as servers are back, as polls do: with no longer pauses, and
// without waiting for a change first.
func TestWatch_IsBackAsSoonAsServersAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log clienttest.Logs
		client, network := faultyClient(t, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range client.Watch(ctx, conf.ChangesRequest{}) {
			}
		}()
		for i := range 5 {
			time.Sleep(time.Minute)
			network.Fail(conf.Errorf(conf.ErrUnavailable, "down"))
			time.Sleep(10 * time.Minute)
			require.Equal(t, i+1, strings.Count(log.String(), "no server gives a usable answer"))
			require.Equal(t, i, strings.Count(log.String(), "servers answer again"))
			network.Heal()
			time.Sleep(5 * time.Second)
			require.Equal(t, i+1, strings.Count(log.String(), "servers answer again"))
		}
		cancel()
		<-ended
	})
}

// faultyClient returns a client of a server that has keyA, over a network that
// fails on command.
func faultyClient(t *testing.T, opts ...diamond.ClientOption) (diamond.Client, *transporttest.Faulty) {
	store := memstore.New()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.NoError(t, store.Close())
	})
	_, err = srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: clienttest.KeyA, Content: "1"}}}})
	require.NoError(t, err)
	network := transporttest.NewFaulty(srv)
	return clienttest.NewClient(t, network, opts...), network
}
