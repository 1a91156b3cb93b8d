package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/linnaname/gdiamond/api"
	"github.com/linnaname/gdiamond/cluster"
)

// The specification of the one route that is the node's own: every answer that it
// names is given, with what it says of it. (429 takes a quarter of a million
// signed requests; package cluster has its test.)
func TestOpenAPI_Nudge(t *testing.T) {
	var spec struct {
		Paths map[string]struct {
			Post struct {
				Responses map[string]struct {
					Headers map[string]struct{ Required bool }
				}
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(api.OpenAPI), &spec))
	answers := spec.Paths["/v1/peer/nudge"].Post.Responses
	require.NotEmpty(t, answers)
	given := map[string]bool{"429": true}
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, a1)
		n := m.run(a1, clusterSecret, seldom)
		secret, err := cluster.NewSecret(clusterSecret)
		require.NoError(t, err)
		time.Sleep(time.Second)
		for _, c := range []struct {
			body   string
			signed bool
		}{{`{}`, true}, {`{"position":"x"}`, true}, {`{}`, false}, {strings.Repeat("x", 1<<16), true}} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a1+"/v1/peer/nudge", bytes.NewReader([]byte(c.body)))
			require.NoError(t, err)
			used := cluster.Secret{}
			if c.signed {
				used = secret
			}
			res, err := cluster.NewSigner(used, &url.URL{Scheme: "http", Host: a1}).Do(n.client, req)
			require.NoError(t, err)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			status := strconv.Itoa(res.StatusCode)
			answer, ok := answers[status]
			require.True(t, ok, status)
			given[status] = true
			for name, header := range answer.Headers {
				assert.True(t, !header.Required || res.Header.Get(name) != "", "%s has %s", status, name)
			}
			if status != "204" {
				assert.Equal(t, "application/json", res.Header.Get("Content-Type"))
				assert.NotEmpty(t, res.Header.Get("Diamond-Error"))
				assert.Contains(t, string(text), fmt.Sprintf(`"code":%q`, res.Header.Get("Diamond-Error")))
			}
		}
	})
	for status := range answers {
		assert.True(t, given[status], status)
	}
}
