package httptransport_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// An answer of 401 says how to prove who asks, and no other answer does.
func TestUnauthenticated_NamesTheSchemes(t *testing.T) {
	for _, target := range []string{"/v1/configs/public/g/k", "/diamond-server/config?dataId=k"} {
		h := httptransport.NewHandler(&canned{err: conf.Errorf(conf.ErrUnauthenticated, "not valid")})
		w := protocoltest.Ask(h, http.MethodGet, target, "")
		assert.Equal(t, http.StatusUnauthorized, w.Code, target)
		assert.Equal(t, `Bearer realm="gdiamond", Basic realm="gdiamond"`, w.Header().Get("WWW-Authenticate"), target)
		assert.Contains(t, w.Body.String(), "not valid", target)

		h = httptransport.NewHandler(&canned{err: conf.Errorf(conf.ErrDenied, "no right")})
		w = protocoltest.Ask(h, http.MethodGet, target, "")
		assert.Equal(t, http.StatusForbidden, w.Code, target)
		assert.Empty(t, w.Header().Get("WWW-Authenticate"), target)
	}
}
