package transport_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

// stale is a server that has not heard of its storage for some time.
type stale struct {
	diamond.Transport
	since time.Duration
	asked int
}

func (s *stale) Fetch(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) {
	s.asked++
	return &conf.FetchResponse{Stale: s.since}, nil
}

func (s *stale) Poll(context.Context, *conf.PollRequest) (*conf.PollResponse, error) {
	s.asked++
	return &conf.PollResponse{Stale: s.since}, nil
}

// A server that is cut off from its storage answers, and nothing new ever comes
// of it: who was given such an answer asks another server next, and stays with
// the one that is up to date. Where all are cut off, all still answer.
func TestN5_AStaleServerIsLeft(t *testing.T) {
	for name, ask := range map[string]func(diamond.Transport) error{
		"fetch": get,
		"poll": func(b diamond.Transport) error {
			_, err := b.Poll(t.Context(), &conf.PollRequest{Wait: time.Second})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			servers := map[string]*stale{"cut off": {since: time.Minute}, "lately": {since: time.Second}}
			b := transport.NewBalancer(transport.Static("cut off", "lately"), func(addr string) (diamond.Transport, error) { return servers[addr], nil })
			defer b.Close()
			for range 10 {
				require.NoError(t, ask(b))
			}
			assert.LessOrEqual(t, servers["cut off"].asked, 1)
			servers["lately"].since = time.Minute
			for range 10 {
				require.NoError(t, ask(b))
			}
		})
	}
}
