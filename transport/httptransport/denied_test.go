package httptransport_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// Which keys a caller may not read crosses the wire beside the states of the others.
func TestPoll_DeniedCrossesTheWire(t *testing.T) {
	hs := &http.Client{Transport: inProcess{httptransport.NewHandler(&canned{})}}
	tr := httptransport.New("127.0.0.1", httptransport.WithHTTPClient(hs))
	keys := []diamond.Key{cannedKey}
	res, err := tr.Poll(t.Context(), &diamond.PollRequest{Keys: keys, Set: diamond.HashKeys(keys)})
	require.NoError(t, err)
	assert.Len(t, res.Changed, 3)
	assert.Equal(t, []diamond.Denial{{
		Key: diamond.Key{Namespace: "_sys", Group: "g", DataID: "k"}, Detail: `not yours, "said" <it>`,
	}}, res.Denied)
}

// inProcess is a round tripper that asks a handler.
type inProcess struct{ h http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := newRecorder()
	p.h.ServeHTTP(w, r)
	return w.Result(), nil
}

// An answer that says of a denied key what it is, or of no key that it is denied, is
// not of a server of this kind.
func TestPoll_DeniedIsNoState(t *testing.T) {
	for _, line := range []string{
		`{"denied":"public/g/k","key":"public/g/k","revision":0}`, `{"denied":"k"}`, `{"denied":"public/g/k","length":1}` + "\nx", `{"detail":"why"}`,
	} {
		from := &hostile{header: http.Header{"Diamond-Position": {cannedPosition.String()}, "Diamond-Count": {"1"}}, body: []byte(line + "\n")}
		tr := httptransport.New("127.0.0.1", httptransport.WithHTTPClient(&http.Client{Transport: from}))
		_, err := tr.Poll(t.Context(), &diamond.PollRequest{Keys: []diamond.Key{cannedKey}})
		assert.ErrorIs(t, err, diamond.ErrUnavailable, line)
	}
}

// denying is a server that denies keys.
type denying struct {
	diamond.Server
	keys map[diamond.Key]bool
}

func (d *denying) Poll(ctx context.Context, req *diamond.PollRequest) (*diamond.PollResponse, error) {
	var allowed []diamond.Key
	res := &diamond.PollResponse{}
	for _, k := range req.Keys {
		if d.keys[k] {
			res.Denied = append(res.Denied, diamond.Denial{Key: k, Detail: "not yours"})
		} else {
			allowed = append(allowed, k)
		}
	}
	if len(res.Denied) == 0 {
		return d.Server.Poll(ctx, req)
	}
	var held []diamond.Held
	for _, h := range req.Held {
		if !d.keys[h.Key] {
			held = append(held, h)
		}
	}
	if len(allowed) == 0 {
		return res, nil
	}
	of, err := d.Server.Poll(ctx, &diamond.PollRequest{Keys: allowed, Set: diamond.HashKeys(allowed), Held: held})
	if err != nil {
		return nil, err
	}
	of.Denied = res.Denied
	return of, nil
}

// An original client is told nothing of keys that it may not read, waits for the
// others, and is refused where there are none.
func TestOriginalClient_DeniedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre(t)
		c.publish(key("mine"), "x")
		c.publish(key("other"), "x")
		c.h = httptransport.NewHandler(&denying{c.srv, map[diamond.Key]bool{key("other"): true, key("none"): true}})
		mine := "mine,DEFAULT_GROUP," + diamond.MD5Hex("x") + ";"

		assert.Equal(t, 403, c.probe("other,DEFAULT_GROUP,;none,DEFAULT_GROUP,;").Code)
		w := c.probe("other,DEFAULT_GROUP,;mine,DEFAULT_GROUP,;")
		assert.Equal(t, 200, w.Code)
		assert.Equal(t, "mine%2CDEFAULT_GROUP%3B", w.Body.String())

		began := time.Now()
		assert.Equal(t, 304, c.probe("other,DEFAULT_GROUP,"+diamond.MD5Hex("old")+";"+mine, "Long-Polling-TimeOut", "20000").Code)
		assert.Equal(t, 20*time.Second, time.Since(began), "it waits, and is not answered again and again")

		told := make(chan string, 1)
		go func() { told <- c.probe("none,DEFAULT_GROUP,;" + mine).Body.String() }()
		synctest.Wait()
		c.publish(key("mine"), "y")
		assert.Equal(t, "mine%2CDEFAULT_GROUP%3B", <-told)
	})
}

// lateDenying is a server that denies keys when a poll has waited.
type lateDenying struct{ diamond.Server }

func (lateDenying) Poll(_ context.Context, req *diamond.PollRequest) (*diamond.PollResponse, error) {
	req.Parked()
	return &diamond.PollResponse{Denied: []diamond.Denial{{Key: req.Keys[0]}}}, nil
}

// Where a key is denied after a wait nothing is said of it: the client asks again,
// and is told then.
func TestOriginalClient_DeniedAfterAWait(t *testing.T) {
	c := newCentre(t)
	c.h = httptransport.NewHandler(lateDenying{c.srv})
	assert.Equal(t, 304, c.probe("a,DEFAULT_GROUP,;").Code)
}
