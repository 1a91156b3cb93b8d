package httptransport_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// Every route says what its caller needs, and the document says the same.
func TestRoutes_EveryOneHasARight(t *testing.T) {
	doc, err := os.ReadFile("../../docs/http-api.md")
	require.NoError(t, err)
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `((?:GET|PUT|POST|DELETE) [^` ]+)` \\| ([a-z ]+) \\|$").FindAllStringSubmatch(string(doc), -1) {
		documented[row[1]] = row[2]
	}
	rights := httptransport.Rights(protocoltest.New(t).H)
	require.NotEmpty(t, rights)
	for route, right := range rights {
		assert.NotEmpty(t, right, route)
		assert.Equal(t, right, documented[route], route)
	}
}

// knowing is a server that decides about rights.
type knowing struct {
	*proving
	asked conf.CanRequest
}

func (k *knowing) WhoAmI(ctx context.Context) (conf.Identity, error) {
	return conf.Identity{
		Principal: conf.CallerFrom(ctx).Principal.Name, Mode: conf.ModeClosed,
		Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Teams: []string{"team:web"},
	}, nil
}

func (k *knowing) Can(_ context.Context, req conf.CanRequest) (conf.CanResponse, error) {
	if k.asked = req; req.As != "" {
		return conf.CanResponse{}, conf.Errorf(conf.ErrDenied, "not permitted")
	}
	return conf.CanResponse{Allowed: req.Verb == "read", Why: "of a grant"}, nil
}

func TestWhoAmI_AndCan(t *testing.T) {
	srv := &knowing{proving: newProving(t)}
	round := &http.Client{Transport: inProcess{httptransport.NewHandler(srv)}}
	tr := dial(t, "127.0.0.1", httptransport.WithHTTPClient(round), httptransport.WithToken(canary))
	who, err := tr.WhoAmI(t.Context())
	require.NoError(t, err)
	assert.Equal(t, conf.Identity{
		Principal: "token:ci", Mode: conf.ModeClosed, Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Teams: []string{"team:web"},
	}, who)
	for verb, allowed := range map[string]bool{"read": true, "write": false} {
		res, err := tr.Can(t.Context(), conf.CanRequest{Verb: verb, Scope: "namespace:a"})
		require.NoError(t, err)
		assert.Equal(t, conf.CanResponse{Allowed: allowed, Why: "of a grant"}, res)
	}
	_, err = tr.Can(t.Context(), conf.CanRequest{Verb: "read", Scope: "all", As: "user:joe"})
	require.ErrorIs(t, err, conf.ErrDenied)
	assert.Equal(t, conf.CanRequest{Verb: "read", Scope: "all", As: "user:joe"}, srv.asked)
	for _, req := range []conf.CanRequest{{Verb: "read"}, {Scope: "all"}} {
		_, err = tr.Can(t.Context(), req)
		require.ErrorIs(t, err, conf.ErrInvalid)
	}
}

// A server without rights says so.
func TestWhoAmI_OfAnOpenServer(t *testing.T) {
	c := protocoltest.New(t)
	w := c.Ask(http.MethodGet, "/v1/whoami", "", "Authorization", "Bearer "+canary)
	assert.JSONEq(t, `{"principal":"","mode":"open"}`, w.Body.String())
	for target, allowed := range map[string]bool{"all": true, "namespace:_govern": false} {
		var body struct{ Allowed bool }
		w = c.Ask(http.MethodGet, "/v1/can?verb=write&scope="+target, "")
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		assert.Equal(t, allowed, body.Allowed, target)
	}
}

// What a writer says of a set beside its changes arrives with it.
func TestWrites_OriginAndForce(t *testing.T) {
	srv := &recording{proving: newProving(t)}
	round := &http.Client{Transport: inProcess{httptransport.NewHandler(srv)}}
	tr := dial(t, "127.0.0.1", httptransport.WithHTTPClient(round))
	set := conf.ChangeSet{Drafts: []conf.Draft{{Key: cannedKey, Content: "x"}}, Origin: "cli", Force: true, Comment: "why"}
	_, err := tr.Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.NoError(t, err)
	assert.Equal(t, "cli", srv.set.Origin)
	assert.True(t, srv.set.Force)
	set.Origin, set.Force = "", false
	_, err = tr.Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.NoError(t, err)
	assert.Empty(t, srv.set.Origin)
	assert.False(t, srv.set.Force)
	set.Origin = "a b"
	_, err = tr.Commit(t.Context(), &conf.CommitRequest{Set: set})
	require.ErrorIs(t, err, conf.ErrInvalid)

	for _, method := range []string{http.MethodPut, http.MethodDelete} {
		w := protocoltest.Ask(httptransport.NewHandler(srv), method, "/v1/configs/"+cannedKey.String(), "", "Diamond-Origin", "import", "Diamond-Force", "true")
		assert.NotEqual(t, 500, w.Code)
		assert.Equal(t, "import", srv.set.Origin, method)
		assert.True(t, srv.set.Force, method)
		w = protocoltest.Ask(httptransport.NewHandler(srv), method, "/v1/configs/"+cannedKey.String(), "", "Diamond-Force", "yes")
		assert.Equal(t, 400, w.Code, method)
	}
	r := request(http.MethodPost, "/v1/changesets", "")
	r.Header["Diamond-Origin"] = []string{"a", "b"}
	assert.Equal(t, 400, send(httptransport.NewHandler(srv), r).Code)
}

// recording is a server that keeps the last set that it was sent.
type recording struct {
	*proving
	set conf.ChangeSet
}

func (s *recording) Commit(_ context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	s.set = req.Set
	return &conf.CommitResponse{Position: cannedPosition}, nil
}
