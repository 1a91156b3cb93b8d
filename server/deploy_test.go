package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/storage/memstore"
)

type nobody struct{}

func (nobody) Resolve(context.Context) ([]string, error) { return nil, nil }
func (nobody) Register(context.Context, string) error    { return nil }
func (nobody) Registrations() map[string]error           { return nil }

const (
	dashboard  = "../deploy/grafana/dashboard.json"
	alerts     = "../deploy/prometheus/alerts.yml"
	alertCases = "../deploy/prometheus/alerts_test.yml"
)

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(content)
}

// metricsIn returns the metrics that a text names.
func metricsIn(t *testing.T, text string) []string {
	t.Helper()
	named := regexp.MustCompile(`\bdiamond_\w+`).FindAllString(text, -1)
	require.NotEmpty(t, named)
	return named
}

// nodeMetrics returns the names of the metrics that a node has.
func nodeMetrics(t *testing.T) map[string]bool {
	t.Helper()
	store := memstore.New()
	defer store.Close()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	defer srv.Close()

	descs := make(chan *prometheus.Desc, 1000)
	NewNode(srv, WithPeers(nobody{}, cluster.Secret{}), WithRegistry(nobody{}, ""), WithTLS(new(tls.Config))).metrics.Describe(descs)
	close(descs)
	exists := map[string]bool{}
	for desc := range descs {
		exists[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(desc.String())[1]] = true
	}
	return exists
}

// Every metric that the dashboard and the alerts name is one that a node has.
func TestDeploy_MetricsExist(t *testing.T) {
	exists := nodeMetrics(t)
	for _, name := range []string{dashboard, alerts, alertCases} {
		for _, metric := range metricsIn(t, read(t, name)) {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric, "")
			assert.True(t, exists[metric] || exists[base], "%s names %s, which no node has", name, metric)
		}
	}
}

// The dashboard shows every metric that a node has, but for those that say why not.
func TestDeploy_DashboardShowsMetrics(t *testing.T) {
	why := map[string]string{
		"diamond_build_info":             "it says nothing of how a server does",
		"diamond_cache_hits_total":       "loads are what costs",
		"diamond_feed_gaps_total":        "they heal by themselves",
		"diamond_feed_stalls_total":      "diamond_feed_stalled is shown",
		"diamond_publish_inflight":       "outcomes are shown",
		"diamond_replica_errors_total":   "diamond_replica_up is shown",
		"diamond_replica_installs_total": "a copy made anew is not a fault",
		"diamond_rights_catch_ups_total": "they are bounded, and cost readers little",
		"diamond_self_checks_total":      "those that find something or fail are shown",
	}
	shown := read(t, dashboard)
	for metric := range nodeMetrics(t) {
		if _, left := why[metric]; strings.HasPrefix(metric, "diamond_") && !left {
			assert.True(t, regexp.MustCompile(metric+`(_bucket)?\b`).MatchString(shown), "no panel shows %s", metric)
		}
	}
}

type alertRule struct{ Alert, Expr string }

func alertRules(t *testing.T) []alertRule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alertRule }
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, alerts)), &file))
	require.Len(t, file.Groups, 1)
	require.NotEmpty(t, file.Groups[0].Rules)
	return file.Groups[0].Rules
}

// Each alert has a case in which it fires, and one in which all is well, which
// has what the alert looks at. (make alerts runs them.)
func TestDeploy_AlertsHaveCases(t *testing.T) {
	var file struct {
		Tests []struct {
			Name        string
			InputSeries []struct{ Series string } `yaml:"input_series"`
			Cases       []struct {
				Alert string `yaml:"alertname"`
				Fires []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, alertCases)), &file))
	fires, well := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			fires[c.Alert] = fires[c.Alert] || len(c.Fires) > 0
		}
		if test.Name == "a healthy cluster under load" {
			for _, in := range test.InputSeries {
				name, _, _ := strings.Cut(in.Series, "{")
				well[name] = true
			}
		}
	}
	for _, rule := range alertRules(t) {
		assert.True(t, fires[rule.Alert], "no case has %s fire", rule.Alert)
		for _, metric := range regexp.MustCompile(`\bdiamond_\w+|\bup\b`).FindAllString(rule.Expr, -1) {
			assert.True(t, well[metric], "%s looks at %s, which nothing has where all is well", rule.Alert, metric)
		}
	}
}

// What an alert looks at can be looked at.
func TestDeploy_DashboardShowsAlerts(t *testing.T) {
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, dashboard)), &board))
	var queries []string
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, target.Expr)
		}
	}
	shown := metricsIn(t, strings.Join(queries, "\n"))
	for _, rule := range alertRules(t) {
		if rule.Alert != "DiamondServerDown" { // Prometheus's own metric
			assert.Subset(t, shown, metricsIn(t, rule.Expr), rule.Alert)
		}
		if rule.Alert == "DiamondBehind" {
			behind, _ := strings.CutSuffix(strings.Join(strings.Fields(rule.Expr), " "), " > 0")
			assert.Contains(t, queries, "clamp_min("+behind+", 0)", "the same, as servers are not scraped at one moment")
		}
	}
}
