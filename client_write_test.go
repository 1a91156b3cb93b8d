package diamond_test

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
)

func TestCommit_RetriesUnderOneRequestID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		errs := []error{
			errDown,
			&conf.Error{Err: conf.ErrOverloaded, RetryAfter: 2 * time.Second, Remote: true},
			&conf.Error{Err: conf.ErrUnknownOutcome, Remote: true},
		}
		c.onCommit = func(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) {
			if len(errs) == 0 {
				return nil, nil
			}
			err := errs[0]
			errs = errs[1:]
			return nil, err
		}
		client := newClient(t, c)
		start := time.Now()
		position, err := client.Publish(t.Context(), conf.Draft{Key: keyA, Content: "a"})
		require.NoError(t, err)
		assert.Equal(t, int64(1), position.Revision)
		assert.GreaterOrEqual(t, time.Since(start), 2*time.Second)
		require.Len(t, c.commits, 4)
		for _, set := range c.commits {
			assert.NotEmpty(t, set.RequestID)
			assert.Equal(t, c.commits[0].RequestID, set.RequestID)
		}
		_, err = client.Commit(t.Context(), conf.ChangeSet{Drafts: []conf.Draft{{Key: keyA, Content: "b"}}, RequestID: "mine"})
		require.NoError(t, err)
		assert.Equal(t, "mine", c.commits[4].RequestID)
		_, err = client.Publish(t.Context(), conf.Draft{Key: keyA, Content: "c"})
		require.NoError(t, err)
		assert.NotEqual(t, c.commits[0].RequestID, c.commits[5].RequestID)
	})
}

func TestCommit_SaysWhenTheOutcomeIsNotKnown(t *testing.T) {
	for name, test := range map[string]struct {
		spoil   func(*centre)
		unknown bool
	}{
		"refused":          {func(c *centre) { c.fail(errDown) }, false},
		"overloaded":       {func(c *centre) { c.fail(&conf.Error{Err: conf.ErrOverloaded, Remote: true}) }, false},
		"unknown":          {func(c *centre) { c.fail(&conf.Error{Err: conf.ErrUnknownOutcome}) }, true},
		"no answer":        {func(c *centre) { c.hang() }, true},
		"unknown, refused": {func(c *centre) { c.onCommit = once(&conf.Error{Err: conf.ErrUnknownOutcome}, errDown) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCentre()
				client := newClient(t, c)
				get(t, client, seeded(c))
				test.spoil(c)
				start := time.Now()
				_, err := client.Publish(t.Context(), conf.Draft{Key: keyA, Content: "a"})
				require.Error(t, err)
				assert.Equal(t, test.unknown, errors.Is(err, conf.ErrUnknownOutcome))
				assert.LessOrEqual(t, time.Since(start), 10*time.Second, "where the caller does not say")
				assert.GreaterOrEqual(t, time.Since(start), 5*time.Second)

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err = client.Publish(ctx, conf.Draft{Key: keyA, Content: "a"})
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
func seeded(c *centre) conf.Key {
	c.set(keyB, "b")
	return keyB
}

func TestCommit_DefiniteErrorsAreNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		for _, sentinel := range []error{
			conf.ErrConflict, conf.ErrNotFound, conf.ErrInvalid, conf.ErrTooLarge, conf.ErrNoSpace,
			conf.ErrDenied, conf.ErrOtherStore,
		} {
			c.fail(&conf.Error{Err: sentinel, Remote: true, Current: 7})
			before := len(c.commits)
			_, err := client.Delete(t.Context(), conf.Delete{Key: keyA})
			require.ErrorIs(t, err, sentinel)
			e, ok := errors.AsType[*conf.Error](err)
			require.True(t, ok)
			assert.Equal(t, keyA, e.Key)
			assert.Equal(t, int64(7), e.Current)
			assert.Len(t, c.commits, before+1)
		}
	})
}

func TestR13_BlankContentIsRefusedAtTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		_, err := client.Publish(t.Context(), conf.Draft{Key: keyA, Content: " \n"})
		require.ErrorIs(t, err, conf.ErrInvalid)
		_, err = client.Publish(t.Context(), conf.Draft{Key: keyA, Content: "", AllowEmpty: true})
		require.NoError(t, err)
		assert.Empty(t, get(t, client, keyA).Content)
	})
}

func TestPublish_IsSeenByTheNextGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		client := newClient(t, c)
		for _, content := range []string{"1", "2", "3"} {
			position, err := client.Publish(t.Context(), conf.Draft{Key: keyA, Content: content})
			require.NoError(t, err)
			config := get(t, client, keyA)
			assert.Equal(t, content, config.Content)
			assert.Equal(t, position.Revision, config.Revision)
			settle()
		}
		_, err := client.Delete(t.Context(), conf.Delete{Key: keyA})
		require.NoError(t, err)
		_, err = client.Get(t.Context(), keyA)
		require.ErrorIs(t, err, conf.ErrNotFound)
	})
}

func TestC16_EveryCallEndsWithItsContext(t *testing.T) {
	calls := map[string]func(context.Context, diamond.Client) error{
		"Get": func(ctx context.Context, c diamond.Client) error { _, err := c.Get(ctx, keyA); return err },
		"Publish": func(ctx context.Context, c diamond.Client) error {
			_, err := c.Publish(ctx, conf.Draft{Key: keyA, Content: "x"})
			return err
		},
		"Delete": func(ctx context.Context, c diamond.Client) error {
			_, err := c.Delete(ctx, conf.Delete{Key: keyA})
			return err
		},
		"Commit": func(ctx context.Context, c diamond.Client) error {
			_, err := c.Commit(ctx, conf.ChangeSet{Deletes: []conf.Delete{{Key: keyA}}})
			return err
		},
		"Read": func(ctx context.Context, c diamond.Client) error { _, err := c.Read(ctx, keyA, 1); return err },
		"Head": func(ctx context.Context, c diamond.Client) error { _, err := c.Head(ctx); return err },
		"Wait": func(ctx context.Context, c diamond.Client) error {
			sub, err := c.Subscribe(keyA, &recorder{})
			if err != nil {
				return err
			}
			defer sub.Stop()
			return sub.Wait(ctx)
		},
		"Bind": func(ctx context.Context, c diamond.Client) error {
			_, err := diamond.Bind[string](ctx, c, keyA)
			return err
		},
		"List": func(ctx context.Context, c diamond.Client) error {
			for _, err := range c.List(ctx, conf.ListRequest{}) {
				return err
			}
			return nil
		},
		"History": func(ctx context.Context, c diamond.Client) error {
			for _, err := range c.History(ctx, conf.HistoryRequest{Key: keyA}) {
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
				client := newClient(t, hanging{})
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
	return nil, ended(ctx)
}

func (hanging) Poll(ctx context.Context, _ *conf.PollRequest) (*conf.PollResponse, error) {
	return nil, ended(ctx)
}

func (hanging) Commit(ctx context.Context, _ *conf.CommitRequest) (*conf.CommitResponse, error) {
	return nil, ended(ctx)
}

func (hanging) Changes(ctx context.Context, _ *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	return nil, ended(ctx)
}

func (hanging) List(ctx context.Context, _ *conf.ListRequest) (*conf.ListResponse, error) {
	return nil, ended(ctx)
}

func (hanging) History(ctx context.Context, _ *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	return nil, ended(ctx)
}

func (hanging) Report(ctx context.Context, _ *conf.ReportRequest) (*conf.ReportResponse, error) {
	return nil, ended(ctx)
}
