package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A line of JSON says 1.5s, not 1500000000.
func TestLogging_Durations(t *testing.T) {
	var out bytes.Buffer
	l := logging{level: slog.LevelInfo}
	l.logger(&out).Info("drained", "took", 1500*time.Millisecond)
	var line struct{ Took string }
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	assert.Equal(t, "1.5s", line.Took)
}
