package server

import (
	"context"
	"os"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/storage/memstore"
)

type nobody struct{}

func (nobody) Resolve(context.Context) ([]string, error) { return nil, nil }
func (nobody) Register(context.Context, string) error    { return nil }
func (nobody) Registrations() map[string]error           { return nil }

// Every metric that the dashboard and the alerts name is one that a node has.
func TestDeploy_MetricsExist(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	defer srv.Close()

	descs := make(chan *prometheus.Desc, 1000)
	New(srv, WithPeers(nobody{}, cluster.Secret{}), WithRegistry(nobody{}, "")).metrics.Describe(descs)
	close(descs)
	exists := map[string]bool{}
	for desc := range descs {
		exists[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(desc.String())[1]] = true
	}
	for _, name := range []string{"../deploy/grafana/dashboard.json", "../deploy/prometheus/alerts.yml"} {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		named := regexp.MustCompile(`\bdiamond_\w+`).FindAllString(string(content), -1)
		require.NotEmpty(t, named)
		for _, metric := range named {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric, "")
			assert.True(t, exists[metric] || exists[base], "%s names %s, which no node has", name, metric)
		}
	}
}
