package server_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/certtest"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// a4 is the address of a server that accepts connections and never answers, and a5 that of one
// that is down.
const a4, a5 = "10.0.0.4:1210", "10.0.0.5:1210"

var watchedKey = conf.NewKey("g", "a.json")

// ask returns a transport to the node.
func (n *member) ask(t *testing.T, addr string) *httptransport.Transport {
	wire, err := httptransport.New(addr, httptransport.WithHTTPClient(n.client))
	require.NoError(t, err)
	return wire
}

// park parks a poll of a client at the node.
func (n *member) park(t *testing.T, id string) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	keys := []conf.Key{watchedKey}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = n.srv.Poll(ctx, &conf.PollRequest{
			Client: conf.ClientInfo{ID: id}, Set: conf.HashKeys(keys), Keys: keys, Position: n.srv.Status().Position, Wait: conf.MaxWait,
		})
	}()
	synctest.Wait()
	return func() {
		cancel()
		<-done
	}
}

func (n *member) report(t *testing.T, id string, report conf.Report) {
	report.Key = watchedKey
	_, err := n.srv.Report(t.Context(), &conf.ReportRequest{Client: conf.ClientInfo{ID: id}, Reports: []conf.Report{report}})
	require.NoError(t, err)
}

// The listeners of a key are those of all servers, each once, with its last report, wherever
// it has reported.
func TestMonitor_OverAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, a1, a2, a3)
		n1, n2, n3 := m.run(a1, clusterSecret, seldom), m.run(a2, clusterSecret, seldom), m.run(a3, clusterSecret, seldom)
		time.Sleep(5 * time.Second)
		_, err := n1.srv.Commit(t.Context(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: watchedKey, Content: "{}"}}}})
		require.NoError(t, err)
		time.Sleep(time.Second)
		defer n1.park(t, "one")()
		defer n2.park(t, "two")()
		n1.park(t, "moved")() // it has polled there before
		time.Sleep(time.Second)
		defer n3.park(t, "moved")()
		n1.report(t, "two", conf.Report{Revision: 1, Reason: "panic"})
		n3.report(t, "one", conf.Report{Revision: 1, Reason: "error"})
		time.Sleep(time.Second)
		n2.report(t, "one", conf.Report{Revision: 1, Applied: true})
		n3.report(t, "gone", conf.Report{Revision: 1, Applied: true}) // it polls nobody

		for addr, n := range map[string]*member{a1: n1, a2: n2, a3: n3} {
			got, err := n.ask(t, addr).Listeners(t.Context(), &conf.ListenersRequest{Key: watchedKey})
			require.NoError(t, err)
			assert.Empty(t, got.Missing)
			assert.Equal(t, 3, got.Polling)
			assert.EqualValues(t, 1, got.Revision)
			require.Len(t, got.Listeners, 3)
			var text []string
			for _, l := range got.Listeners {
				assert.True(t, l.Polling)
				text = append(text, fmt.Sprintf("%s at %s: %d %v %s", l.ID, l.Node, l.Reported, l.Applied, l.Reason))
			}
			assert.Equal(t, []string{"moved at " + a3 + ": 0 false ", "one at " + a1 + ": 1 true ", "two at " + a2 + ": 1 false panic"}, text)

			own, err := n.ask(t, addr).Clients(t.Context(), &conf.ClientsRequest{Local: true})
			require.NoError(t, err)
			assert.Equal(t, 1, own.Polling)
			cluster, err := n.ask(t, addr).Cluster(t.Context())
			require.NoError(t, err)
			require.Len(t, cluster.Nodes, 3)
			assert.False(t, cluster.Partial)
			assert.Equal(t, addr, cluster.Nodes[0].Node)
			for _, node := range cluster.Nodes {
				assert.True(t, node.Ready)
				assert.EqualValues(t, 1, node.Revision)
				assert.Equal(t, conf.ModeOpen, node.Mode)
				assert.Len(t, node.Peers, 2)
			}
		}
	})
}

// Pages over several servers have each client once, in the order of their names.
func TestMonitor_Pages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, a1, a2)
		nodes := []*member{m.run(a1, clusterSecret, seldom), m.run(a2, clusterSecret, seldom)}
		time.Sleep(5 * time.Second)
		for i := range 60 {
			nodes[i%7%2].park(t, fmt.Sprintf("c%02d", i))()
		}
		for _, limit := range []int{1, 7, 60, 0} {
			var ids []string
			for req := (&conf.ClientsRequest{Limit: limit}); ; {
				got, err := nodes[0].ask(t, a1).Clients(t.Context(), req)
				require.NoError(t, err)
				for _, c := range got.Clients {
					ids = append(ids, c.ID)
				}
				if req.After = got.Next; req.After == "" {
					break
				}
			}
			require.Len(t, ids, 60, "%d at a time", limit)
			for i, id := range ids {
				require.Equal(t, fmt.Sprintf("c%02d", i), id)
			}
		}
	})
}

// A server that is down and one that accepts and never answers make the answer partial, within
// a second. So does a list of servers that cannot be read.
func TestMonitor_PartialAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, a1, a2, a4, a5)
		m.place(a4, &addressed{mute: true})
		n1, n2 := m.run(a1, clusterSecret, seldom), m.run(a2, clusterSecret, seldom)
		time.Sleep(5 * time.Second)
		defer n1.park(t, "one")()
		defer n2.park(t, "two")()
		want := []conf.MissingNode{{Node: a4, Reason: "it did not answer in time"}, {Node: a5, Reason: "it cannot be reached"}}

		asked := time.Now()
		got, err := n1.ask(t, a1).Listeners(t.Context(), &conf.ListenersRequest{Key: watchedKey})
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(asked), 1100*time.Millisecond)
		assert.Equal(t, want, got.Missing)
		assert.Equal(t, 2, got.Polling)
		assert.Len(t, got.Listeners, 2)

		asked = time.Now()
		cluster, err := n1.ask(t, a1).Cluster(t.Context())
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(asked), 1100*time.Millisecond)
		assert.Equal(t, want, cluster.Missing)
		assert.True(t, cluster.Partial)
		assert.Len(t, cluster.Nodes, 2)

		m.set(context.DeadlineExceeded)
		time.Sleep(10 * time.Second)
		clients, err := n1.ask(t, a1).Clients(t.Context(), &conf.ClientsRequest{})
		require.NoError(t, err)
		assert.Len(t, clients.Missing, 3)
	})
}

// Peers answer only who knows the secret of the cluster.
func TestMonitor_AnotherSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, a1, a2)
		n1, n2 := m.run(a1, clusterSecret, seldom), m.run(a2, "another-secret-of-another-cluster", seldom)
		time.Sleep(5 * time.Second)
		defer n2.park(t, "two")()
		got, err := n1.ask(t, a1).Clients(t.Context(), &conf.ClientsRequest{})
		require.NoError(t, err)
		assert.Empty(t, got.Clients)
		assert.Equal(t, []conf.MissingNode{{Node: a2, Reason: "it refuses to answer"}}, got.Missing)
	})
}

// With listeners of their own, peers answer each other there, and nobody at the listener for
// clients. The state of a server says when the certificate expires that it shows there.
func TestMonitor_OverThePeersListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := certtest.NewAuthority(t)
		m := newMesh(t, a1, a2)
		n1 := m.runSecured(a1, clusterSecret, always(newIdentity(t, ca, a1)))
		n2 := m.runSecured(a2, clusterSecret, always(newIdentity(t, ca, a2)))
		time.Sleep(5 * time.Second)
		defer n2.park(t, "two")()
		got, err := n1.ask(t, a1).Listeners(t.Context(), &conf.ListenersRequest{Key: watchedKey})
		require.NoError(t, err)
		assert.Empty(t, got.Missing)
		require.Len(t, got.Listeners, 1)
		assert.Equal(t, a2, got.Listeners[0].Node)

		cluster, err := n1.ask(t, a1).Cluster(t.Context())
		require.NoError(t, err)
		require.Len(t, cluster.Nodes, 2)
		for _, node := range cluster.Nodes {
			assert.True(t, node.Certificates["peers"].After(time.Now()))
			assert.NotContains(t, node.Certificates, "clients")
		}
		status, err := m.request(&http.Transport{DialContext: m.dial}, http.MethodPost, "http://"+a1+"/v1/peer/query", `{"clients":{}}`)
		require.NoError(t, err)
		assert.Equal(t, http.StatusNotFound, status)
	})
}
