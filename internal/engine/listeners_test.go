package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// watched is a server that says who polls it.
type watched struct {
	*servertest.Served
}

func watch(t testing.TB) watched { return watched{servertest.Serve(t, memstore.New())} }

func (w watched) listeners(req *conf.ListenersRequest) *conf.ListenersResponse {
	w.T.Helper()
	resp, err := w.Server.(interface {
		Listeners(context.Context, *conf.ListenersRequest) (*conf.ListenersResponse, error)
	}).Listeners(w.T.Context(), req)
	require.NoError(w.T, err)
	return resp
}

func (w watched) clients(req *conf.ClientsRequest) *conf.ClientsResponse {
	w.T.Helper()
	resp, err := w.Server.(interface {
		Clients(context.Context, *conf.ClientsRequest) (*conf.ClientsResponse, error)
	}).Clients(w.T.Context(), req)
	require.NoError(w.T, err)
	return resp
}

// poll polls keys as a client, and returns how to end that.
func (w watched) poll(ctx context.Context, info conf.ClientInfo, at conf.Position, wait time.Duration, dataIDs ...string) (end func()) {
	req := servertest.PollFor(at, wait, dataIDs...)
	req.Client = info
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = w.Poll(ctx, req)
	}()
	synctest.Wait()
	return func() {
		cancel()
		<-done
	}
}

func idsOf(list []conf.Listener) (ids []string) {
	for _, l := range list {
		ids = append(ids, l.ID)
	}
	return ids
}

// A client that polls is known with its key set, while it polls and for five minutes after.
func TestListeners_AClientThatPollsIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		at := w.Publish("a.json", "1")
		caller := conf.Caller{Principal: conf.Principal{Name: "token:a"}, Address: "192.0.2.1:1000"}
		ctx := conf.WithCaller(t.Context(), caller)
		info := conf.ClientInfo{ID: "one", App: "pay", Version: "7", Labels: map[string]string{"zone": "eu", "empty": ""}}
		began := time.Now()
		end := w.poll(ctx, info, at, conf.MaxWait, "a.json", "b.json")

		want := conf.Client{
			ClientInfo: info, Name: "token:a one", Principal: "token:a", Address: caller.Address,
			Keys: 2, Revision: at.Revision, Seen: began, Polling: true,
		}
		about := want
		about.Keys = 0 // the other key is not what was asked about
		got := w.listeners(&conf.ListenersRequest{Key: clienttest.KeyA})
		assert.Equal(t, &conf.ListenersResponse{Listeners: []conf.Listener{{Client: about}}, Polling: 1, Revision: at.Revision}, got)
		assert.Equal(t, []conf.Client{want}, w.clients(&conf.ClientsRequest{}).Clients)
		assert.Len(t, w.listeners(&conf.ListenersRequest{Key: conf.NewKey("", "b.json")}).Listeners, 1, "it does not exist, and is listened to")
		assert.Empty(t, w.listeners(&conf.ListenersRequest{Key: conf.NewKey("", "c.json")}).Listeners)
		assert.Equal(t, []conf.Client{want}, w.clients(&conf.ClientsRequest{Namespace: "public"}).Clients)
		assert.Empty(t, w.clients(&conf.ClientsRequest{Namespace: "publi"}).Clients)
		assert.Empty(t, w.clients(&conf.ClientsRequest{Namespace: "zz"}).Clients)

		time.Sleep(time.Minute)
		end()
		ended := time.Now()
		about.Polling, about.Seen = false, ended
		got = w.listeners(&conf.ListenersRequest{Key: clienttest.KeyA})
		assert.Equal(t, []conf.Listener{{Client: about}}, got.Listeners)
		assert.Zero(t, got.Polling)
		time.Sleep(4 * time.Minute)
		assert.Len(t, w.clients(&conf.ClientsRequest{}).Clients, 1)
		time.Sleep(2*time.Minute + time.Second)
		assert.Empty(t, w.clients(&conf.ClientsRequest{}).Clients, "it is forgotten")
	})
}

// A client that polls for hours is not forgotten, and is not listed twice when it begins to
// describe itself in other words, or polls other keys from another address.
func TestListeners_TheLastPollCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		at := w.Publish("a.json", "1")
		poll := func(version, address, dataID string) (end func()) {
			return w.poll(from(t, address), conf.ClientInfo{ID: "one", Version: version, Labels: map[string]string{"v": version}}, at, conf.MaxWait, dataID)
		}
		for range 10 {
			end := poll("1", "192.0.2.1:1", "a.json")
			time.Sleep(80 * time.Second)
			end()
		}
		require.Len(t, w.clients(&conf.ClientsRequest{}).Clients, 1)
		end := poll("1", "192.0.2.1:1", "a.json")
		next := poll("2", "192.0.2.1:2", "b.json") // a poll of before has not ended yet
		got := w.clients(&conf.ClientsRequest{})
		require.Len(t, got.Clients, 1)
		assert.Equal(t, 1, got.Polling)
		assert.Equal(t, "2", got.Clients[0].Version)
		assert.Equal(t, "192.0.2.1:2", got.Clients[0].Address)
		assert.Empty(t, w.listeners(&conf.ListenersRequest{Key: clienttest.KeyA}).Listeners)
		end()
		assert.Equal(t, 1, w.clients(&conf.ClientsRequest{}).Polling, "the end of the poll of before is not that of the client")
		next()
		assert.Zero(t, w.clients(&conf.ClientsRequest{}).Polling)
	})
}

// A client is named by its principal and its id, so that nobody is shown in the place of
// somebody else's. One without an id is known by its address and its keys.
func TestListeners_NobodyTakesTheNameOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		at := w.Publish("a.json", "1")
		as := func(name, address string) context.Context {
			return conf.WithCaller(t.Context(), conf.Caller{Principal: conf.Principal{Name: name}, Address: address})
		}
		for _, ctx := range []context.Context{as("token:a", ""), as("token:b", ""), as("", "192.0.2.1:1")} {
			defer w.poll(ctx, conf.ClientInfo{ID: "same"}, at, conf.MaxWait, "a.json")()
			_, err := w.Report(ctx, &conf.ReportRequest{Client: conf.ClientInfo{ID: "same"}, Reports: []conf.Report{{Key: clienttest.KeyA, Revision: at.Revision, Applied: true}}})
			require.NoError(t, err)
		}
		for _, port := range []string{"1", "2"} {
			defer w.poll(as("", "192.0.2.2:"+port), conf.ClientInfo{}, at, conf.MaxWait, "a.json")()
			defer w.poll(as("", "192.0.2.2:"+port), conf.ClientInfo{}, at, conf.MaxWait, "a.json", "b.json")()
		}
		got := w.listeners(&conf.ListenersRequest{Key: clienttest.KeyA})
		assert.Equal(t, []string{"", "", "same", "same", "same"}, idsOf(got.Listeners))
		assert.Equal(t, 5, got.Polling)
		for _, l := range got.Listeners {
			assert.Equal(t, l.ID == "same", l.Applied, "%s", l.Name)
		}
		assert.Equal(t, 3, w.Status().Listeners.InSync, "the report of one principal does not replace that of another")
	})
}

// What clients report stands beside them. Who polls another server is listed by its report.
func TestListeners_Reports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		at := w.Publish("a.json", "1")
		defer w.poll(t.Context(), conf.ClientInfo{ID: "applied"}, at, conf.MaxWait, "a.json")()
		defer w.poll(t.Context(), conf.ClientInfo{ID: "quiet"}, at, conf.MaxWait, "a.json")()
		reports := map[string]conf.Report{
			"applied": {Key: clienttest.KeyA, Revision: at.Revision, Applied: true},
			"far":     {Key: clienttest.KeyA, Revision: at.Revision, Reason: "panic"},
			"other":   {Key: conf.NewKey("", "b.json"), Revision: 1, Reason: "error"},
		}
		now := time.Now()
		for id, report := range reports {
			_, err := w.Report(t.Context(), &conf.ReportRequest{Client: conf.ClientInfo{ID: id}, Reports: []conf.Report{report}})
			require.NoError(t, err)
		}
		got := w.listeners(&conf.ListenersRequest{Key: clienttest.KeyA}).Listeners
		require.Equal(t, []string{"applied", "far", "quiet"}, idsOf(got))
		outcome := func(l conf.Listener) []any { return []any{l.Reported, l.Applied, l.Reason, l.ReportedAt} }
		assert.Equal(t, []any{at.Revision, true, "", now}, outcome(got[0]))
		assert.Equal(t, []any{at.Revision, false, "panic", now}, outcome(got[1]))
		assert.Zero(t, got[1].Seen, "nothing but its report is known here")
		assert.Equal(t, []any{int64(0), false, "", time.Time{}}, outcome(got[2]))
		time.Sleep(11 * time.Minute)
		assert.Empty(t, w.listeners(&conf.ListenersRequest{Key: clienttest.KeyA}).Listeners)
	})
}

// Pages have each client once, in the order of their names, whatever their size.
func TestListeners_Pages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		w.Publish("a.json", "1")
		const n = 1234
		for i := range n {
			w.poll(from(t, "192.0.2.1:1"), conf.ClientInfo{ID: fmt.Sprintf("c%04d", (i*7919)%n)}, conf.Position{}, 0, "a.json")()
		}
		for _, limit := range []int{0, 1000, 7, n, 617} {
			var ids []string
			pages := 0
			for req := (&conf.ListenersRequest{Key: clienttest.KeyA, Limit: limit}); ; pages++ {
				resp := w.listeners(req)
				if limit != 0 {
					require.LessOrEqual(t, len(resp.Listeners), limit)
				}
				require.LessOrEqual(t, len(resp.Listeners), conf.MaxPage)
				ids = append(ids, idsOf(resp.Listeners)...)
				if req.After = resp.Next; req.After == "" {
					break
				}
			}
			require.Len(t, ids, n)
			for i, id := range ids {
				require.Equal(t, fmt.Sprintf("c%04d", i), id)
			}
		}
		_, err := w.Server.(interface {
			Clients(context.Context, *conf.ClientsRequest) (*conf.ClientsResponse, error)
		}).Clients(t.Context(), &conf.ClientsRequest{Limit: -1})
		assert.ErrorIs(t, err, conf.ErrInvalid)
	})
}

// One hostile client with a hundred thousand made-up ids and as long a description as it may
// have takes bounded memory, and makes nobody else be forgotten or refused.
func TestListeners_ManyMadeUpIds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		at := w.Publish("a.json", "1")
		victim := from(t, "192.0.2.1:1")
		w.poll(victim, conf.ClientInfo{ID: "idle"}, at, 0, "a.json")()
		defer w.poll(victim, conf.ClientInfo{ID: "parked"}, at, conf.MaxWait, "a.json")()
		before := heap()
		hostile := from(t, "203.0.113.1:1")
		req := servertest.PollFor(conf.Position{}, 0, "a.json")
		long := strings.Repeat("x", 255)
		for i := range 100_000 {
			req.Client = conf.ClientInfo{ID: fmt.Sprintf("id-%d-%s", i, long[:240]), Labels: map[string]string{"a": long, "b": long, "c": long, "d": long, "e": long, "f": long, "g": long, "h": long, "i": long, "j": long, "k": long, "l": long, "m": long}}
			_, err := w.Poll(hostile, req)
			require.NoError(t, err)
			if i%2000 == 0 {
				_, err := w.Report(hostile, &conf.ReportRequest{Client: req.Client, Reports: manyReports(1000, i)})
				if err != nil {
					require.ErrorIs(t, err, conf.ErrOverloaded)
				}
			}
		}
		took := heap() - before
		t.Logf("%d MiB for 100,000 made-up ids", took>>20)
		assert.Less(t, took, int64(80<<20))
		w.poll(victim, conf.ClientInfo{ID: "new"}, at, 0, "a.json")()
		_, err := w.Report(victim, &conf.ReportRequest{Client: conf.ClientInfo{ID: "new"}, Reports: manyReports(1000, 0)})
		require.NoError(t, err, "there is room for the reports of others")
		first := w.listeners(&conf.ListenersRequest{Key: clienttest.KeyA, After: " ie"})
		assert.Equal(t, []string{"new", "parked"}, idsOf(first.Listeners))
		require.Equal(t, "idle", w.listeners(&conf.ListenersRequest{Key: clienttest.KeyA, After: " id-zzz", Limit: 1}).Listeners[0].ID)
		assert.Empty(t, first.Missing, "who does not poll any more gave way")
	})
}

func manyReports(n, revision int) (list []conf.Report) {
	for i := range n {
		list = append(list, conf.Report{Key: conf.NewKey("", fmt.Sprint("r", revision, "-", i)), Revision: 1, Applied: true})
	}
	return list
}

// A server that has no room for all clients that poll says so.
func TestListeners_SaysThatThereIsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		at := w.Publish("a.json", "1")
		labels := map[string]string{}
		for i := range 14 {
			labels[fmt.Sprint(i)] = strings.Repeat("x", 256)
		}
		for i := range 10_000 {
			defer w.poll(from(t, "203.0.113.1:1"), conf.ClientInfo{ID: fmt.Sprint(i), Labels: labels}, at, conf.MaxWait, "a.json")()
		}
		got := w.clients(&conf.ClientsRequest{})
		assert.NotEmpty(t, got.Missing)
		assert.Less(t, got.Polling, 10_000)
		assert.Equal(t, 10_000, w.Status().Waiters, "they are served as well as others")
	})
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A client takes at most 500 bytes beside its key set, whatever it polls.
func TestListeners_MemoryOfAClient(t *testing.T) {
	const clients = 20_000
	w := watch(t)
	at := w.Publish("a.json", "1")
	req := servertest.PollFor(at, 0, "a.json")
	poll := func(i int, prefix string) {
		ctx := conf.WithCaller(t.Context(), conf.Caller{Principal: conf.Principal{Name: "token:pay.service"}, Address: fmt.Sprintf("192.0.2.%d:%d", i%250, 10_000+i)})
		req.Client = conf.ClientInfo{
			ID: fmt.Sprintf("%s-9f1b6c0e-5f3d-4f5e-8c1e-%012d", prefix, i), App: "payment-service", Version: "1.24.3",
			Labels: map[string]string{"zone": "eu-central-1a", "canary": "no"},
		}
		_, err := w.Poll(ctx, req)
		require.NoError(t, err)
	}
	poll(0, "first")
	before := heap()
	for i := range clients {
		poll(i, "c")
	}
	each := (heap() - before) / clients
	t.Logf("%d bytes for each client", each)
	assert.LessOrEqual(t, each, int64(500))
	runtime.KeepAlive(w)
}

// BenchmarkPollAtOnce is a poll of 1,000 keys that is answered at once, of 1,000 clients.
func BenchmarkPollAtOnce(b *testing.B) {
	w := watch(b)
	at := w.Publish("a.json", "1")
	req := made(0, 1000)
	req.Position = at
	_, err := w.Poll(b.Context(), req)
	require.NoError(b, err)
	req.Keys = nil
	infos := make([]conf.ClientInfo, 1000)
	for i := range infos {
		infos[i] = conf.ClientInfo{ID: fmt.Sprint("client-", i), App: "pay", Labels: map[string]string{"zone": "eu"}}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		req.Client = infos[i%len(infos)]
		if _, err := w.Poll(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkListeners asks who listens to a key of 1,000 that each of 100,000 clients polls in a set
// of its own.
func BenchmarkListeners(b *testing.B) {
	w := watch(b)
	w.Publish("a.json", "1")
	for i := range 100_000 {
		req := servertest.PollFor(conf.Position{}, 0, "a.json", fmt.Sprint("own-", i))
		req.Client.ID = fmt.Sprint("client-", i)
		_, err := w.Poll(conf.WithCaller(b.Context(), conf.Caller{Address: fmt.Sprintf("10.0.%d.1:1", i%200)}), req)
		require.NoError(b, err)
	}
	for b.Loop() {
		if got := w.listeners(&conf.ListenersRequest{Key: clienttest.KeyA}); len(got.Listeners) != 100 {
			b.Fatal(len(got.Listeners))
		}
	}
}
