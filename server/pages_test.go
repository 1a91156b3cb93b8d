package server

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// Every page of a node says what its caller needs, and the document says the same.
func TestPages_EveryOneHasARight(t *testing.T) {
	doc, err := os.ReadFile("../docs/http-api.md")
	require.NoError(t, err)
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(?:GET|POST) ([^` ]+)` \\| ([a-z ]+) \\|$").FindAllStringSubmatch(string(doc), -1) {
		documented[row[1]] = row[2]
	}
	store := memstore.New()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	defer func() { _ = srv.Close() }()
	n := NewNode(srv, WithPeers(nobody{}, cluster.Secret{}))
	require.Contains(t, n.pages, pathNudge)
	for path, page := range n.pages {
		for target, verbose := range map[string]bool{path: false, path + "?verbose": true} {
			right := string(page.rightFor(httptest.NewRequest(http.MethodGet, target, nil)))
			assert.NotEmpty(t, right, target)
			if verbose && page.verbose == "" {
				target = path // the parameter changes nothing
			}
			assert.Equal(t, documented[target], right, target)
		}
	}
}
