package follower_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func TestCommit_RetriesUnderOneRequestID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		errs := []error{
			clienttest.ErrDown,
			&conf.Error{Err: conf.ErrOverloaded, RetryAfter: 2 * time.Second, Remote: true},
			&conf.Error{Err: conf.ErrUnknownOutcome, Remote: true},
		}
		c.OnCommit = func(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) {
			if len(errs) == 0 {
				return nil, nil
			}
			err := errs[0]
			errs = errs[1:]
			return nil, err
		}
		client := clienttest.NewClient(t, c)
		start := time.Now()
		position, err := client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: "a"})
		require.NoError(t, err)
		assert.Equal(t, int64(1), position.Revision)
		assert.GreaterOrEqual(t, time.Since(start), 2*time.Second)
		require.Len(t, c.Commits, 4)
		for _, set := range c.Commits {
			assert.NotEmpty(t, set.RequestID)
			assert.Equal(t, c.Commits[0].RequestID, set.RequestID)
		}
		_, err = client.Commit(t.Context(), conf.ChangeSet{Drafts: []conf.Draft{{Key: clienttest.KeyA, Content: "b"}}, RequestID: "mine"})
		require.NoError(t, err)
		assert.Equal(t, "mine", c.Commits[4].RequestID)
		_, err = client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: "c"})
		require.NoError(t, err)
		assert.NotEqual(t, c.Commits[0].RequestID, c.Commits[5].RequestID)
	})
}

func TestCommit_SaysWhenTheOutcomeIsNotKnown(t *testing.T) {
	for name, test := range map[string]struct {
		spoil   func(*clienttest.Centre)
		unknown bool
	}{
		"refused":    {func(c *clienttest.Centre) { c.Fail(clienttest.ErrDown) }, false},
		"overloaded": {func(c *clienttest.Centre) { c.Fail(&conf.Error{Err: conf.ErrOverloaded, Remote: true}) }, false},
		"unknown":    {func(c *clienttest.Centre) { c.Fail(&conf.Error{Err: conf.ErrUnknownOutcome}) }, true},
		"no answer":  {func(c *clienttest.Centre) { c.Hang() }, true},
		"unknown, refused": {func(c *clienttest.Centre) {
			c.OnCommit = once(&conf.Error{Err: conf.ErrUnknownOutcome}, clienttest.ErrDown)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clienttest.NewCentre()
				client := clienttest.NewClient(t, c)
				clienttest.Get(t, client, seeded(c))
				test.spoil(c)
				start := time.Now()
				_, err := client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: "a"})
				require.Error(t, err)
				assert.Equal(t, test.unknown, errors.Is(err, conf.ErrUnknownOutcome))
				assert.LessOrEqual(t, time.Since(start), 10*time.Second, "where the caller does not say")
				assert.GreaterOrEqual(t, time.Since(start), 5*time.Second)

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err = client.Publish(ctx, conf.Draft{Key: clienttest.KeyA, Content: "a"})
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		})
	}
}

// once returns first, and then always the other.
func once(first, then error) func(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) {
	return func(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) {
		err := first
		first = then
		return nil, err
	}
}

// seeded publishes a value of some key.
func seeded(c *clienttest.Centre) conf.Key {
	c.Set(clienttest.KeyB, "b")
	return clienttest.KeyB
}

func TestCommit_DefiniteErrorsAreNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		for _, sentinel := range []error{
			conf.ErrConflict, conf.ErrNotFound, conf.ErrInvalid, conf.ErrTooLarge, conf.ErrNoSpace,
			conf.ErrDenied, conf.ErrOtherStore, conf.ErrUnauthenticated,
		} {
			c.Fail(&conf.Error{Err: sentinel, Remote: true, Current: 7})
			before := len(c.Commits)
			_, err := client.Delete(t.Context(), conf.Delete{Key: clienttest.KeyA})
			require.ErrorIs(t, err, sentinel)
			e, ok := errors.AsType[*conf.Error](err)
			require.True(t, ok)
			assert.Equal(t, clienttest.KeyA, e.Key)
			assert.Equal(t, int64(7), e.Current)
			assert.Len(t, c.Commits, before+1)
		}
	})
}

func TestR13_BlankContentIsRefusedAtTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		_, err := client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: " \n"})
		require.ErrorIs(t, err, conf.ErrInvalid)
		_, err = client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: "", AllowEmpty: true})
		require.NoError(t, err)
		assert.Empty(t, clienttest.Get(t, client, clienttest.KeyA).Content)
	})
}

func TestPublish_IsSeenByTheNextGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		for _, content := range []string{"1", "2", "3"} {
			position, err := client.Publish(t.Context(), conf.Draft{Key: clienttest.KeyA, Content: content})
			require.NoError(t, err)
			config := clienttest.Get(t, client, clienttest.KeyA)
			assert.Equal(t, content, config.Content)
			assert.Equal(t, position.Revision, config.Revision)
			clienttest.Settle()
		}
		_, err := client.Delete(t.Context(), conf.Delete{Key: clienttest.KeyA})
		require.NoError(t, err)
		_, err = client.Get(t.Context(), clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrNotFound)
	})
}

func TestC16_EveryCallEndsWithItsContext(t *testing.T) {
	calls := map[string]func(context.Context, diamond.Client) error{
		"Get": func(ctx context.Context, c diamond.Client) error { _, err := c.Get(ctx, clienttest.KeyA); return err },
		"Publish": func(ctx context.Context, c diamond.Client) error {
			_, err := c.Publish(ctx, conf.Draft{Key: clienttest.KeyA, Content: "x"})
			return err
		},
		"Delete": func(ctx context.Context, c diamond.Client) error {
			_, err := c.Delete(ctx, conf.Delete{Key: clienttest.KeyA})
			return err
		},
		"Commit": func(ctx context.Context, c diamond.Client) error {
			_, err := c.Commit(ctx, conf.ChangeSet{Deletes: []conf.Delete{{Key: clienttest.KeyA}}})
			return err
		},
		"Read": func(ctx context.Context, c diamond.Client) error {
			_, err := c.Read(ctx, clienttest.KeyA, 1)
			return err
		},
		"Head": func(ctx context.Context, c diamond.Client) error { _, err := c.Head(ctx); return err },
		"Wait": func(ctx context.Context, c diamond.Client) error {
			sub, err := c.Subscribe(clienttest.KeyA, &clienttest.Recorder{})
			if err != nil {
				return err
			}
			defer sub.Stop()
			return sub.Wait(ctx)
		},
		"Bind": func(ctx context.Context, c diamond.Client) error {
			_, err := diamond.Bind[string](ctx, c, clienttest.KeyA)
			return err
		},
		"List": func(ctx context.Context, c diamond.Client) error {
			for _, err := range c.List(ctx, conf.ListRequest{}) {
				return err
			}
			return nil
		},
		"History": func(ctx context.Context, c diamond.Client) error {
			for _, err := range c.History(ctx, conf.HistoryRequest{Key: clienttest.KeyA}) {
				return err
			}
			return nil
		},
		"Watch": func(ctx context.Context, c diamond.Client) error {
			for _, err := range c.Watch(ctx, conf.ChangesRequest{}) {
				return err
			}
			return ctx.Err() // it ends without an error
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := clienttest.NewClient(t, hanging{})
				ctx, cancel := context.WithCancel(t.Context())
				var cancelled time.Time
				go func() {
					time.Sleep(500 * time.Millisecond)
					cancelled = time.Now()
					cancel()
				}()
				require.ErrorIs(t, call(ctx, client), context.Canceled)
				assert.LessOrEqual(t, time.Since(cancelled), 50*time.Millisecond)

				start := time.Now()
				require.ErrorIs(t, call(ctx, client), context.Canceled, "an ended context")
				assert.LessOrEqual(t, time.Since(start), 50*time.Millisecond)

				short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				err := call(short, client)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.LessOrEqual(t, time.Since(start), 200*time.Millisecond)

				go func() {
					time.Sleep(time.Second)
					assert.NoError(t, client.Close())
				}()
				err = call(t.Context(), client)
				require.ErrorIs(t, err, conf.ErrClosed)
				_, ok := errors.AsType[*conf.Error](err)
				assert.True(t, ok)
				require.ErrorIs(t, call(t.Context(), client), conf.ErrClosed)
			})
		})
	}
}

// hanging is a transport that never answers.
type hanging struct{}

func (hanging) Fetch(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
	return nil, clienttest.Ended(ctx)
}

func (hanging) Poll(ctx context.Context, _ *conf.PollRequest) (*conf.PollResponse, error) {
	return nil, clienttest.Ended(ctx)
}

func (hanging) Commit(ctx context.Context, _ *conf.CommitRequest) (*conf.CommitResponse, error) {
	return nil, clienttest.Ended(ctx)
}

func (hanging) Changes(ctx context.Context, _ *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	return nil, clienttest.Ended(ctx)
}

func (hanging) List(ctx context.Context, _ *conf.ListRequest) (*conf.ListResponse, error) {
	return nil, clienttest.Ended(ctx)
}

func (hanging) History(ctx context.Context, _ *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	return nil, clienttest.Ended(ctx)
}

func (hanging) Report(ctx context.Context, _ *conf.ReportRequest) (*conf.ReportResponse, error) {
	return nil, clienttest.Ended(ctx)
}
