package server_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/server"
)

// twoNames is a registry of two name servers, one of which fails.
type twoNames struct{}

func (twoNames) Register(ctx context.Context, _ string) error {
	<-ctx.Done()
	return nil
}

func (twoNames) Registrations() map[string]error {
	return map[string]error{"http://a:8080": nil, "http://b:8080": errors.New("no\nroute")}
}

// A node tells where it is registered; to be ready it needs no registration.
func TestNodeTellsWhereItIsRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, server.WithRegistry(twoNames{}, ""))
		res, body := r.get("/readyz?verbose")
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.Contains(t, body, "[-] registration: held by 1 of 2 name servers; http://b:8080: no; route\n")
		_, body = r.get("/metrics")
		assert.Contains(t, body, `diamond_registered{namesrv="http://a:8080"} 1`)
		assert.Contains(t, body, `diamond_registered{namesrv="http://b:8080"} 0`)
		r.stop()
		r.wait()
	})
}
