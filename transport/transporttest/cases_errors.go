package transporttest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

// sentinels are those of package diamond.
func sentinels() []error {
	return []error{
		diamond.ErrNotFound, diamond.ErrConflict, diamond.ErrInvalid, diamond.ErrTooLarge, diamond.ErrCompacted,
		diamond.ErrEpoch, diamond.ErrOtherStore, diamond.ErrBehind, diamond.ErrUnavailable, diamond.ErrOverloaded,
		diamond.ErrUnknownOutcome, diamond.ErrNoSpace, diamond.ErrCorrupt, diamond.ErrInUse, diamond.ErrDenied, diamond.ErrClosed,
	}
}

// refusing is a server that answers every call with one error.
type refusing struct {
	diamond.Server
	err error
}

func (r *refusing) Fetch(context.Context, *diamond.FetchRequest) (*diamond.FetchResponse, error) {
	return nil, r.err
}
func (r *refusing) Poll(context.Context, *diamond.PollRequest) (*diamond.PollResponse, error) {
	return nil, r.err
}
func (r *refusing) Commit(context.Context, *diamond.CommitRequest) (*diamond.CommitResponse, error) {
	return nil, r.err
}
func (r *refusing) Changes(context.Context, *diamond.ChangesRequest) (*diamond.ChangesResponse, error) {
	return nil, r.err
}
func (r *refusing) List(context.Context, *diamond.ListRequest) (*diamond.ListResponse, error) {
	return nil, r.err
}
func (r *refusing) History(context.Context, *diamond.HistoryRequest) (*diamond.HistoryResponse, error) {
	return nil, r.err
}
func (r *refusing) Report(context.Context, *diamond.ReportRequest) (*diamond.ReportResponse, error) {
	return nil, r.err
}

// calls are a good request to every method of a transport.
func calls() map[string]func(ctx context.Context, tr diamond.Transport) error {
	k := key("k")
	return map[string]func(ctx context.Context, tr diamond.Transport) error{
		"fetch": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Fetch(ctx, &diamond.FetchRequest{Key: k})
			return err
		},
		"fetch version": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Fetch(ctx, &diamond.FetchRequest{Key: k, Revision: 1})
			return err
		},
		"poll": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Poll(ctx, &diamond.PollRequest{Keys: []diamond.Key{k}, Set: diamond.HashKeys([]diamond.Key{k})})
			return err
		},
		"commit": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Commit(ctx, &diamond.CommitRequest{Set: diamond.ChangeSet{Drafts: []diamond.Draft{{Key: k, Content: "x"}}}})
			return err
		},
		"changes": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Changes(ctx, &diamond.ChangesRequest{})
			return err
		},
		"list": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.List(ctx, &diamond.ListRequest{})
			return err
		},
		"history": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.History(ctx, &diamond.HistoryRequest{Key: k})
			return err
		},
		"report": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Report(ctx, &diamond.ReportRequest{
				Client: diamond.ClientInfo{ID: "c"}, Reports: []diamond.Report{{Key: k, Revision: 1, Applied: true}},
			})
			return err
		},
	}
}

func errorCases() []testCase {
	return []testCase{
		{"Errors/Sentinels", "every sentinel survives the trip, with Remote set and all fields of the Error", func(f *fixture) {
			for _, sentinel := range sentinels() {
				srv := &refusing{Server: f.srv, err: &diamond.Error{
					Op: "op", Key: key("culprit"), Err: sentinel, Detail: "the rule: \u00e4 < b & \"c\"",
					RetryAfter: 1234 * time.Millisecond, Current: 42, Remote: true,
				}}
				for op, call := range calls() {
					if op == "fetch" && sentinel == diamond.ErrNotFound {
						continue // an absence is no error, so what such an error becomes is open
					}
					err := call(f.ctx, f.maker(f.T, srv)) // a fresh one, as some heed RetryAfter
					require.ErrorIs(f, err, sentinel, op)
					for _, other := range sentinels() {
						assert.Equal(f, other == sentinel, errors.Is(err, other), "%s: %v is also %v", op, err, other)
					}
					var e *diamond.Error
					require.True(f, errors.As(err, &e), op)
					assert.True(f, e.Remote, "%s: the server said so", op)
					assert.Equal(f, key("culprit"), e.Key, op)
					assert.Equal(f, "the rule: \u00e4 < b & \"c\"", e.Detail, op)
					assert.Equal(f, 1234*time.Millisecond, e.RetryAfter, op)
					assert.EqualValues(f, 42, e.Current, op)
					assert.NotEmpty(f, e.Op, op)
				}
			}
		}},
		{"Errors/Closed", "a closed server is told from one that cannot be asked", func(f *fixture) {
			require.NoError(f, f.srv.Close())
			for op, call := range calls() {
				err := call(f.ctx, f.tr)
				assert.ErrorIs(f, err, diamond.ErrClosed, op)
				var e *diamond.Error
				if assert.True(f, errors.As(err, &e), op) {
					assert.True(f, e.Remote, op)
				}
			}
		}},
		{"Errors/Context", "every method returns when its context has ended, with that error wrapped", func(f *fixture) {
			ctx, cancel := context.WithCancel(f.ctx)
			cancel()
			for op, call := range calls() {
				err := call(ctx, f.tr)
				assert.ErrorIs(f, err, context.Canceled, op)
			}
			ctx, cancel = context.WithDeadline(f.ctx, time.Now().Add(-time.Second))
			defer cancel()
			for op, call := range calls() {
				err := call(ctx, f.tr)
				assert.ErrorIs(f, err, context.DeadlineExceeded, op)
			}
		}},
	}
}

func callCases() []testCase {
	return []testCase{
		{"Calls/Unchanged", "requests are not changed, so that one may be used again", func(f *fixture) {
			f.publish("k", "x")
			fetch := diamond.FetchRequest{Key: diamond.Key{DataID: "k"}}
			poll := diamond.PollRequest{
				Keys: []diamond.Key{{DataID: "z"}, {DataID: "k"}}, Set: diamond.HashKeys([]diamond.Key{key("k"), key("z")}),
				Held: []diamond.Held{{Key: diamond.Key{DataID: "z"}}, {Key: diamond.Key{DataID: "k"}, Revision: 1}},
			}
			commit := diamond.CommitRequest{Set: diamond.ChangeSet{Drafts: []diamond.Draft{{Key: diamond.Key{DataID: "n.json"}, Content: "{}"}}}}
			wantFetch, wantPoll, wantCommit := fetch, poll, commit
			wantPoll.Keys = append([]diamond.Key(nil), poll.Keys...)
			wantPoll.Held = append([]diamond.Held(nil), poll.Held...)
			wantCommit.Set.Drafts = append([]diamond.Draft(nil), commit.Set.Drafts...)
			for range 2 {
				_, err := f.tr.Fetch(f.ctx, &fetch)
				require.NoError(f, err)
				_, err = f.tr.Poll(f.ctx, &poll)
				require.NoError(f, err)
				_, err = f.tr.Commit(f.ctx, &commit)
				require.NoError(f, err)
			}
			assert.Equal(f, wantFetch, fetch)
			assert.Equal(f, wantPoll, poll)
			assert.Equal(f, wantCommit, commit)
		}},
		{"Calls/Concurrent", "a transport is safe for concurrent use", func(f *fixture) {
			f.publish("k", "x")
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 5 {
						for op, call := range calls() {
							if err := call(f.ctx, f.tr); op != "fetch version" {
								assert.NoError(f, err, op)
							}
						}
					}
				})
			}
			all.Wait()
		}},
	}
}
