package transporttest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// sentinels are those of package diamond.
func sentinels() []error {
	return []error{
		conf.ErrNotFound, conf.ErrConflict, conf.ErrInvalid, conf.ErrTooLarge, conf.ErrCompacted,
		conf.ErrEpoch, conf.ErrOtherStore, conf.ErrBehind, conf.ErrUnavailable, conf.ErrOverloaded,
		conf.ErrUnknownOutcome, conf.ErrNoSpace, conf.ErrCorrupt, conf.ErrInUse, conf.ErrDenied, conf.ErrClosed,
		conf.ErrUnauthenticated,
	}
}

// refusing is a server that answers every call with one error.
type refusing struct {
	diamond.Server
	err error
}

func (r *refusing) Fetch(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
	return nil, r.err
}
func (r *refusing) Poll(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
	return nil, r.err
}
func (r *refusing) Commit(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) {
	return nil, r.err
}
func (r *refusing) Changes(context.Context, *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	return nil, r.err
}
func (r *refusing) List(context.Context, *conf.ListRequest) (*conf.ListResponse, error) {
	return nil, r.err
}
func (r *refusing) History(context.Context, *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	return nil, r.err
}
func (r *refusing) Report(context.Context, *conf.ReportRequest) (*conf.ReportResponse, error) {
	return nil, r.err
}

// calls has a request for every method of a transport. The requests are valid if k is.
// Changes and List name no key.
func calls(k conf.Key) map[string]func(ctx context.Context, tr diamond.Transport) error {
	return map[string]func(ctx context.Context, tr diamond.Transport) error{
		"fetch": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Fetch(ctx, &conf.FetchRequest{Key: k})
			return err
		},
		"fetch version": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Fetch(ctx, &conf.FetchRequest{Key: k, Revision: 1})
			return err
		},
		"poll": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Poll(ctx, &conf.PollRequest{Keys: []conf.Key{k}, Set: conf.HashKeys([]conf.Key{k})})
			return err
		},
		"commit": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: k, Content: "x"}}}})
			return err
		},
		"changes": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Changes(ctx, &conf.ChangesRequest{})
			return err
		},
		"list": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.List(ctx, &conf.ListRequest{})
			return err
		},
		"history": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.History(ctx, &conf.HistoryRequest{Key: k})
			return err
		},
		"report": func(ctx context.Context, tr diamond.Transport) error {
			_, err := tr.Report(ctx, &conf.ReportRequest{
				Client: conf.ClientInfo{ID: "c"}, Reports: []conf.Report{{Key: k, Revision: 1, Applied: true}},
			})
			return err
		},
	}
}

func errorCases() []testCase {
	return []testCase{
		{"Errors/Sentinels", "every sentinel survives the trip, with Remote set and all fields of the Error", func(f *fixture) {
			for _, sentinel := range sentinels() {
				srv := &refusing{Server: f.srv, err: &conf.Error{
					Op: "op", Key: key("culprit"), Err: sentinel, Detail: "the rule: \u00e4 < b & \"c\"",
					RetryAfter: 1234 * time.Millisecond, Current: 42, Remote: true,
				}}
				for op, call := range calls(key("k")) {
					if op == "fetch" && sentinel == conf.ErrNotFound {
						continue // an absence is not an error, so a transport may return anything here
					}
					err := call(f.ctx, f.maker(f.T, srv)) // a fresh transport, because some obey RetryAfter
					require.ErrorIs(f, err, sentinel, op)
					for _, other := range sentinels() {
						assert.Equal(f, other == sentinel, errors.Is(err, other), "%s: %v is also %v", op, err, other)
					}
					var e *conf.Error
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
			for op, call := range calls(key("k")) {
				err := call(f.ctx, f.tr)
				assert.ErrorIs(f, err, conf.ErrClosed, op)
				var e *conf.Error
				if assert.True(f, errors.As(err, &e), op) {
					assert.True(f, e.Remote, op)
				}
			}
		}},
		{"Errors/Context", "every method returns when its context has ended, with that error wrapped", func(f *fixture) {
			ctx, cancel := context.WithCancel(f.ctx)
			cancel()
			for op, call := range calls(key("k")) {
				err := call(ctx, f.tr)
				assert.ErrorIs(f, err, context.Canceled, op)
			}
			ctx, cancel = context.WithDeadline(f.ctx, time.Now().Add(-time.Second))
			defer cancel()
			for op, call := range calls(key("k")) {
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
			fetch := conf.FetchRequest{Key: conf.Key{DataID: "k"}}
			poll := conf.PollRequest{
				Keys: []conf.Key{{DataID: "z"}, {DataID: "k"}}, Set: conf.HashKeys([]conf.Key{key("k"), key("z")}),
				Held: []conf.Held{{Key: conf.Key{DataID: "z"}}, {Key: conf.Key{DataID: "k"}, Revision: 1}},
			}
			commit := conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.Key{DataID: "n.json"}, Content: "{}"}}}}
			wantFetch, wantPoll, wantCommit := fetch, poll, commit
			wantPoll.Keys = append([]conf.Key(nil), poll.Keys...)
			wantPoll.Held = append([]conf.Held(nil), poll.Held...)
			wantCommit.Set.Drafts = append([]conf.Draft(nil), commit.Set.Drafts...)
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
						for op, call := range calls(key("k")) {
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
