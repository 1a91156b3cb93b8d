package transporttest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Maker returns the transport under test, which sends to srv. It registers its cleanup
// with t. Srv is closed after that.
type Maker func(t *testing.T, srv diamond.Server) diamond.Transport

// MaxContent is the limit of one content at the servers that a Maker gets.
const MaxContent = 1 << 20

// Run runs the conformance suite of [diamond.Transport]. Each case has a fresh server and
// a fresh transport. A case that fails logs the rule that it checks.
func Run(t *testing.T, maker Maker) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() {
				if t.Failed() {
					t.Log("the rule: " + c.rule)
				}
			})
			c.check(newFixture(t, maker))
		})
	}
}

// testCase is one rule and the function that checks it.
type testCase struct {
	name, rule string
	check      func(f *fixture)
}

func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{fetchCases(), pollCases(), commitCases(), logCases(), seenCases(), errorCases(), callCases()} {
		all = append(all, group...)
	}
	return all
}

// fixture is the server and the transport of one case.
type fixture struct {
	*testing.T
	maker Maker
	srv   diamond.Server
	tr    diamond.Transport
	ctx   context.Context
	info  conf.ClientInfo
}

func newFixture(t *testing.T, maker Maker) *fixture {
	store := memstore.New()
	srv, err := diamond.NewServer(store, diamond.WithMaxContent(MaxContent))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.NoError(t, store.Close())
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return &fixture{
		T: t, maker: maker, srv: srv, tr: maker(t, srv), ctx: ctx,
		info: conf.ClientInfo{ID: "suite", App: "transporttest", Labels: map[string]string{"zone": "a b&c"}},
	}
}

// commit commits set through the transport and returns the position after it.
func (f *fixture) commit(set conf.ChangeSet) conf.Position {
	f.Helper()
	res, err := f.tr.Commit(f.ctx, &conf.CommitRequest{Client: f.info, Set: set})
	require.NoError(f, err)
	return res.Position
}

// publish publishes content under the data id, in the default group.
func (f *fixture) publish(dataID, content string) conf.Position {
	f.Helper()
	return f.commit(conf.ChangeSet{Drafts: []conf.Draft{{Key: key(dataID), Content: content, AllowEmpty: content == ""}}})
}

func (f *fixture) remove(dataID string) conf.Position {
	f.Helper()
	return f.commit(conf.ChangeSet{Deletes: []conf.Delete{{Key: key(dataID)}}})
}

func (f *fixture) fetch(k conf.Key) *conf.FetchResponse {
	f.Helper()
	res, err := f.tr.Fetch(f.ctx, &conf.FetchRequest{Client: f.info, Key: k})
	require.NoError(f, err)
	return res
}

// poll polls the keys of held. The caller knows only the values in held.
func (f *fixture) poll(wait time.Duration, held ...conf.Held) *conf.PollResponse {
	f.Helper()
	res, err := f.tr.Poll(f.ctx, f.ask(wait, held...))
	require.NoError(f, err)
	return res
}

func (f *fixture) ask(wait time.Duration, held ...conf.Held) *conf.PollRequest {
	req := &conf.PollRequest{Client: f.info, Wait: wait}
	for _, h := range held {
		req.Keys = append(req.Keys, h.Key)
		if h.Revision != 0 {
			req.Held = append(req.Held, h)
		}
	}
	req.Set = conf.HashKeys(req.Keys)
	return req
}

// parked waits until n polls and watches are parked at the server.
func (f *fixture) parked(n int) {
	f.Helper()
	require.Eventually(f, func() bool { return f.srv.Status().Waiters == n }, time.Minute, time.Millisecond, "%d are to be parked", n)
}

func key(dataID string) conf.Key { return conf.NewKey("", dataID) }

// held returns the Held for the revision at of a key, which has content.
func held(dataID string, at conf.Position, content string) conf.Held {
	return conf.Held{Key: key(dataID), Revision: at.Revision, MD5: conf.MD5Hex(content)}
}

// nothing returns the Held for a key of which the caller has no value.
func nothing(dataID string) conf.Held { return conf.Held{Key: key(dataID)} }
