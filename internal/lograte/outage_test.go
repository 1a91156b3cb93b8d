package lograte

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOutage_IsLoggedOnceAndSoIsItsEnd(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	var o Outage
	note := func(err error) string {
		out.Reset()
		o.Note(log, err, "it is away", "it is back")
		return out.String()
	}
	fails := errors.New("fails")
	assert.Empty(t, note(nil))
	assert.Empty(t, note(fails))
	assert.Empty(t, note(nil), "one that failed on its own")
	assert.Empty(t, note(fails))
	assert.Empty(t, note(fails))
	assert.Contains(t, note(fails), "it is away")
	assert.Empty(t, note(fails))
	assert.Equal(t, 4, o.Failures())
	assert.Contains(t, note(nil), "it is back")
	assert.Zero(t, o.Failures())
	assert.Empty(t, note(nil))
}
