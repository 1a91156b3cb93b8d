package server

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// deciding is a server that decides about rights.
type deciding struct {
	diamond.Server
	status conf.RightsStatus
}

func (d *deciding) RightsStatus() conf.RightsStatus { return d.status }

// gathered returns the values of a node's metrics by name and labels.
func gathered(t *testing.T, srv diamond.Server) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry() // which checks what Describe and Collect say
	require.NoError(t, newMetrics(srv, nil, nil, reg).register())
	families, err := reg.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			values[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}

func TestMetrics_Rights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := diamond.NewServer(memstore.New())
		require.NoError(t, err)
		defer srv.Close()
		d := &deciding{srv, conf.RightsStatus{
			Mode:      conf.ModeClosed,
			Denied:    map[string]uint64{conf.DenialExpired: 3, "of a later version": 1},
			WouldDeny: map[string]uint64{conf.DenialQuota: 4},
			Proofs:    5, Redecided: 6, CatchUps: 7,
			Quotas:    []conf.QuotaUse{{Namespace: "a.daily", Quota: "keys", Used: 8, Limit: 9}},
			Documents: []conf.DocumentUse{{Tenant: "a", Quota: "bytes", Used: 11, Limit: 12}},
			Secrets:   []conf.SecretExpiry{{Token: "a.b", Expires: time.Now().Add(10 * time.Second)}, {Token: "c", Expires: time.Now().Add(time.Hour)}},
		}}
		got := gathered(t, d)
		for name, value := range map[string]float64{
			"diamond_rights_mode":                    2,
			"diamond_rights_ungoverned":              0,
			"diamond_denials_total expired":          3,
			"diamond_denials_total right":            0,
			"diamond_would_be_denials_total quota":   4,
			"diamond_would_be_denials_total expired": 0,
			"diamond_proofs_accepted_total":          5,
			"diamond_polls_redecided_total":          6,
			"diamond_rights_catch_ups_total":         7,
			"diamond_quota_used a.daily keys":        8,
			"diamond_quota_limit a.daily keys":       9,
			"diamond_document_quota_used bytes a":    11,
			"diamond_document_quota_limit bytes a":   12,
			"diamond_token_expiry_seconds a.b":       10,
			"diamond_token_expiry_seconds c":         3600,
			"diamond_next_token_expiry_seconds":      10,
		} {
			actual, found := got[name]
			assert.True(t, found, name)
			assert.InDelta(t, value, actual, 0, name)
		}
		for _, reason := range conf.Denials() {
			assert.Contains(t, got, "diamond_denials_total "+reason)
		}
		assert.NotContains(t, got, "diamond_denials_total of a later version")

		d.status = conf.RightsStatus{Mode: conf.ModeObserve}
		assert.InDelta(t, 1, gathered(t, d)["diamond_rights_mode"], 0)
		assert.Equal(t, math.Inf(1), gathered(t, d)["diamond_next_token_expiry_seconds"])
		d.status.Mode = conf.ModeOpen
		assert.InDelta(t, 0, gathered(t, d)["diamond_rights_mode"], 0)
		d.status.Mode = ""
		assert.NotContains(t, gathered(t, d), "diamond_rights_mode", "it is not known yet")
	})
}

// However many namespaces and tokens there are, a node has a bounded number of series.
func TestMetrics_RightsAreBounded(t *testing.T) {
	srv, err := diamond.NewServer(memstore.New())
	require.NoError(t, err)
	defer srv.Close()
	few := len(gathered(t, &deciding{Server: srv}))
	var many conf.RightsStatus
	for i := range 10_000 {
		many.Quotas = append(many.Quotas, conf.QuotaUse{Namespace: fmt.Sprint(i), Quota: "bytes", Limit: 1})
		many.Documents = append(many.Documents, conf.DocumentUse{Tenant: fmt.Sprint(i), Quota: "bytes", Limit: 1})
		many.Secrets = append(many.Secrets, conf.SecretExpiry{Token: fmt.Sprint(i), Expires: time.Now()})
	}
	assert.Len(t, gathered(t, &deciding{srv, many}), few+4*conf.MaxQuotaUses+conf.MaxSecretExpiries)
}

// A server without rights is open, and says so where its store is governed.
func TestMetrics_ServerWithoutRights(t *testing.T) {
	store := memstore.New()
	marker := conf.Key{Namespace: "_govern", Group: "centre", DataID: "marker"}
	srv, err := diamond.NewServer(store, diamond.WithUngoverned())
	require.NoError(t, err)
	defer srv.Close()
	values := gathered(t, srv)
	assert.Contains(t, values, "diamond_rights_mode")
	assert.Zero(t, values["diamond_rights_mode"])
	assert.Contains(t, values, "diamond_rights_ungoverned")
	assert.Zero(t, values["diamond_rights_ungoverned"], "the store is not governed")
	assert.NotContains(t, values, "diamond_proofs_accepted_total")

	_, err = store.Commit(t.Context(), []conf.ChangeSet{{Drafts: []conf.Draft{{Key: marker, Content: "{}"}}}})
	require.NoError(t, err)
	assert.Eventually(t, func() bool { return gathered(t, srv)["diamond_rights_ungoverned"] == 1 }, 10*time.Second, 10*time.Millisecond)
}
