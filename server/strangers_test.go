package server

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/govern"
)

// Whoever tries many tokens is told to come back later, by every route and page, before
// anything is looked for. The others behind the same address are served.
func TestX19_WrongTokensFromASharedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newGovernedNode(t, tenantOf("a")...)
		whoami := wire{method: http.MethodGet, target: "/v1/whoami"}
		status := 0
		for i := 0; status != http.StatusTooManyRequests; i++ {
			require.Less(t, i, 10*govern.DefaultUnknownProofs)
			if status != 0 {
				require.Equal(t, http.StatusUnauthorized, status)
			}
			status = n.send(whoami, tokenSecret(fmt.Sprint("nobody", i))).Code
		}
		looked := n.centre.Stats().CatchUps
		for _, target := range []string{"/v1/whoami", "/v1/configs/a.daily/g/k", "/metrics"} {
			w := n.send(wire{method: http.MethodGet, target: target}, tokenSecret("nobody"))
			assert.Equal(t, http.StatusTooManyRequests, w.Code, target)
			after, err := strconv.Atoi(w.Header().Get("Retry-After"))
			require.NoError(t, err, target)
			assert.InDelta(t, 2, after, 1, target)
		}
		assert.Equal(t, looked, n.centre.Stats().CatchUps)
		assert.Equal(t, http.StatusOK, n.send(whoami, tokenSecret("a.reader")).Code)
		assert.Equal(t, http.StatusOK, n.send(whoami, "").Code, "without a token")
	})
}
