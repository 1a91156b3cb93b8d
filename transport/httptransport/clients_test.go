package httptransport_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// monitored is a monitor that answers with what it has.
type monitored struct {
	listeners conf.ListenersResponse
	clients   conf.ClientsResponse
	askedKey  conf.ListenersRequest
	asked     conf.ClientsRequest
}

func (m *monitored) Listeners(_ context.Context, req *conf.ListenersRequest) (*conf.ListenersResponse, error) {
	m.askedKey = *req
	return &m.listeners, nil
}

func (m *monitored) Clients(_ context.Context, req *conf.ClientsRequest) (*conf.ClientsResponse, error) {
	m.asked = *req
	return &m.clients, nil
}

// What a monitor says arrives as it is, and so does what it is asked.
func TestMonitor_CrossesTheWire(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	client := conf.Client{
		ClientInfo: conf.ClientInfo{ID: "é & <1>", App: "pay", Version: "7", Labels: map[string]string{"zone": "eu", "empty": ""}},
		Name:       "token:a é & <1>", Principal: "token:a", Address: "192.0.2.1:1", Node: "10.0.0.1:1210", Keys: 3, Revision: 7, Seen: at, Polling: true,
	}
	missing := []conf.MissingNode{{Node: "10.0.0.2:1210", Reason: "it did not answer in time"}, {Reason: "why"}}
	m := &monitored{
		listeners: conf.ListenersResponse{
			Listeners: []conf.Listener{
				{Client: client, Reported: 6, Reason: "panic", ReportedAt: at}, {Client: client, Reported: 7, Applied: true, ReportedAt: at}, {Client: conf.Client{Name: " x"}},
			},
			Next: "token:a é & <1>", Polling: 9, Revision: 8, Missing: missing,
		},
		clients: conf.ClientsResponse{Clients: []conf.Client{client, {Name: " x"}}, Next: " x", Polling: 2, Missing: missing},
	}
	round := &http.Client{Transport: inProcess{httptransport.NewHandler(newProving(t), httptransport.WithMonitor(m))}}
	tr := dial(t, "127.0.0.1", httptransport.WithHTTPClient(round))

	ask := conf.ListenersRequest{Key: conf.Key{Namespace: "a:b", Group: "g", DataID: "k"}, After: "token:a é & <1>", Limit: 7, Local: true}
	listeners, err := tr.Listeners(t.Context(), &ask)
	require.NoError(t, err)
	assert.Equal(t, &m.listeners, listeners)
	assert.Equal(t, ask, m.askedKey)

	all := conf.ClientsRequest{Namespace: "a:b", After: " x", Limit: 8, Local: true}
	clients, err := tr.Clients(t.Context(), &all)
	require.NoError(t, err)
	assert.Equal(t, &m.clients, clients)
	assert.Equal(t, all, m.asked)

	m.listeners, m.clients = conf.ListenersResponse{}, conf.ClientsResponse{}
	listeners, err = tr.Listeners(t.Context(), &conf.ListenersRequest{Key: ask.Key})
	require.NoError(t, err)
	assert.Equal(t, &m.listeners, listeners)
	clients, err = tr.Clients(t.Context(), &conf.ClientsRequest{})
	require.NoError(t, err)
	assert.Equal(t, &m.clients, clients)
	assert.Equal(t, conf.ClientsRequest{}, m.asked)

	_, err = tr.Listeners(t.Context(), &conf.ListenersRequest{Key: conf.Key{Namespace: "a b", Group: "g", DataID: "k"}})
	require.ErrorIs(t, err, conf.ErrInvalid)
}

// A server that knows nobody who polls it says so.
func TestMonitor_None(t *testing.T) {
	round := &http.Client{Transport: inProcess{httptransport.NewHandler(struct{ diamond.Server }{newProving(t)})}}
	tr := dial(t, "127.0.0.1", httptransport.WithHTTPClient(round))
	_, err := tr.Clients(t.Context(), &conf.ClientsRequest{})
	require.ErrorIs(t, err, conf.ErrInvalid)
	_, err = tr.Listeners(t.Context(), &conf.ListenersRequest{Key: cannedKey})
	require.ErrorIs(t, err, conf.ErrInvalid)
}
