package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProvide_WithoutApt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := provide()
	require.ErrorIs(t, err, errMissing)
	require.True(t, strings.HasPrefix(err.Error(), "promtool is missing"), "the checks of a change look for it: %v", err)
}

func TestRulesOf(t *testing.T) {
	rules, err := rulesOf([]byte(`{"panels": [
		{"id": 1, "targets": [{"refId": "A", "expr": "up"}, {"refId": "B", "expr": "sum(x{a=\"b\"})"}]},
		{"id": 2, "targets": [{"refId": "A", "expr": "y"}]}]}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"groups": [{"name": "dashboard", "rules": [
		{"record": "panel:1:A", "expr": "up"},
		{"record": "panel:1:B", "expr": "sum(x{a=\"b\"})"},
		{"record": "panel:2:A", "expr": "y"}]}]}`, string(rules))

	_, err = rulesOf([]byte("["))
	require.ErrorContains(t, err, "dashboard")
}
