package transporttest

import (
	"context"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// seers has a request for each method that takes the position that its caller has seen.
func (f *fixture) seers() map[string]func(ctx context.Context, seen conf.Position) error {
	return map[string]func(ctx context.Context, seen conf.Position) error{
		"commit": func(ctx context.Context, seen conf.Position) error {
			_, err := f.tr.Commit(ctx, &conf.CommitRequest{Client: f.info, Seen: seen, Set: conf.ChangeSet{
				Drafts: []conf.Draft{{Key: key("committed"), Content: "x"}},
			}})
			return err
		},
		"list": func(ctx context.Context, seen conf.Position) error {
			_, err := f.tr.List(ctx, &conf.ListRequest{Client: f.info, Seen: seen})
			return err
		},
		"history": func(ctx context.Context, seen conf.Position) error {
			_, err := f.tr.History(ctx, &conf.HistoryRequest{Client: f.info, Key: key("k"), Seen: seen})
			return err
		},
	}
}

func seenCases() []testCase {
	// A server that does not wait answers well within this, and one that does waits for longer.
	const waits = 100 * time.Millisecond
	return []testCase{
		{"Seen/Reached", "a request whose caller has seen nothing, or no more than the server, is answered", func(f *fixture) {
			for name, ask := range f.seers() {
				assert.NoError(f, ask(f.ctx, conf.Position{}), name)
				at := f.publish("k", "x")
				assert.NoError(f, ask(f.ctx, at), name)
				at.Revision--
				assert.NoError(f, ask(f.ctx, at), name)
			}
		}},
		{"Seen/Behind", "a server that does not reach Seen is ErrBehind, and has done nothing", func(f *fixture) {
			ahead := f.publish("k", "x")
			ahead.Revision++
			var all sync.WaitGroup
			for name, ask := range f.seers() {
				all.Go(func() { assert.ErrorIs(f, ask(f.ctx, ahead), conf.ErrBehind, name) })
			}
			all.Wait()
			assert.False(f, f.fetch(key("committed")).Found)
		}},
		{"Seen/Waits", "a server that is behind waits until it has reached Seen", func(f *fixture) {
			for name, ask := range f.seers() {
				at := f.publish("k", name)
				ahead := at
				ahead.Revision++
				answered := make(chan error, 1)
				go func() { answered <- ask(f.ctx, ahead) }()
				select {
				case err := <-answered:
					require.Fail(f, "answered too early", "%s: %v", name, err)
				case <-time.After(waits): // however long it takes, a server that waits has not answered
				}
				f.publish("k", name+" again")
				assert.NoError(f, <-answered, name)
			}
		}},
		{"Seen/OtherStore", "a position of another store is ErrOtherStore", func(f *fixture) {
			at := f.publish("k", "x")
			at.Store[0]++
			for name, ask := range f.seers() {
				assert.ErrorIs(f, ask(f.ctx, at), conf.ErrOtherStore, name)
			}
			assert.False(f, f.fetch(key("committed")).Found)
		}},
		{"Seen/Ended", "a caller that leaves ends the wait", func(f *fixture) {
			at := f.publish("k", "x")
			at.Revision++
			for name, ask := range f.seers() {
				ctx, cancel := context.WithCancel(f.ctx)
				answered := make(chan error, 1)
				go func() { answered <- ask(ctx, at) }()
				cancel()
				assert.ErrorIs(f, <-answered, context.Canceled, name)
			}
		}},
	}
}
