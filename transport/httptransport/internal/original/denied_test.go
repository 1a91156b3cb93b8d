package original_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// denying is a server that denies keys.
type denying struct {
	diamond.Server
	keys map[conf.Key]bool
}

func (d *denying) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	var allowed []conf.Key
	res := &conf.PollResponse{}
	for _, k := range req.Keys {
		if d.keys[k] {
			res.Denied = append(res.Denied, conf.Denial{Key: k, Detail: "not yours"})
		} else {
			allowed = append(allowed, k)
		}
	}
	if len(res.Denied) == 0 {
		return d.Server.Poll(ctx, req)
	}
	var held []conf.Held
	for _, h := range req.Held {
		if !d.keys[h.Key] {
			held = append(held, h)
		}
	}
	if len(allowed) == 0 {
		return res, nil
	}
	of, err := d.Server.Poll(ctx, &conf.PollRequest{Keys: allowed, Set: conf.HashKeys(allowed), Held: held})
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
		c := protocoltest.New(t)
		c.Publish(protocoltest.Key("mine"), "x")
		c.Publish(protocoltest.Key("other"), "x")
		c.H = httptransport.NewHandler(&denying{c.Srv, map[conf.Key]bool{protocoltest.Key("other"): true, protocoltest.Key("none"): true}})
		mine := "mine,DEFAULT_GROUP," + conf.MD5Hex("x") + ";"

		assert.Equal(t, 403, poll(c, "other,DEFAULT_GROUP,;none,DEFAULT_GROUP,;").Code)
		w := poll(c, "other,DEFAULT_GROUP,;mine,DEFAULT_GROUP,;")
		assert.Equal(t, 200, w.Code)
		assert.Equal(t, "mine%2CDEFAULT_GROUP%3B", w.Body.String())

		began := time.Now()
		assert.Equal(t, 304, poll(c, "other,DEFAULT_GROUP,"+conf.MD5Hex("old")+";"+mine, "Long-Polling-TimeOut", "20000").Code)
		assert.Equal(t, 20*time.Second, time.Since(began), "it waits, and is not answered again and again")

		told := make(chan string, 1)
		go func() { told <- poll(c, "none,DEFAULT_GROUP,;"+mine).Body.String() }()
		synctest.Wait()
		c.Publish(protocoltest.Key("mine"), "y")
		assert.Equal(t, "mine%2CDEFAULT_GROUP%3B", <-told)
	})
}

// lateDenying is a server that denies keys when a poll has waited.
type lateDenying struct{ diamond.Server }

func (lateDenying) Poll(_ context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	req.Parked()
	return &conf.PollResponse{Denied: []conf.Denial{{Key: req.Keys[0]}}}, nil
}

// Where a key is denied after a wait nothing is said of it: the client asks again,
// and is told then.
func TestOriginalClient_DeniedAfterAWait(t *testing.T) {
	c := protocoltest.New(t)
	c.H = httptransport.NewHandler(lateDenying{c.Srv})
	assert.Equal(t, 304, poll(c, "a,DEFAULT_GROUP,;").Code)
}
