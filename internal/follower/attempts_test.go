package follower

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAttempts_AProblemBeginsWithTheSecondFailureInARow(t *testing.T) {
	var out strings.Builder
	h := newHealth(slog.New(slog.NewTextHandler(&out, nil)))
	a, b := attempts{health: h, problem: h.noAnswer}, attempts{health: h, problem: h.noAnswer}
	logged := func() string {
		defer out.Reset()
		return out.String()
	}
	fails := errors.New("fails")
	assert.NoError(t, a.note(nil))
	assert.NoError(t, a.note(fails))
	assert.NoError(t, a.note(nil), "one that failed on its own")
	a.giveUp()
	assert.NoError(t, a.note(fails))
	assert.Empty(t, logged())
	assert.Equal(t, fails, a.note(fails))
	assert.Contains(t, logged(), h.noAnswer.begins)
	assert.Equal(t, fails, a.note(fails))
	assert.Empty(t, logged())

	assert.NoError(t, b.note(fails))
	assert.NoError(t, a.note(nil))
	assert.Contains(t, logged(), h.noAnswer.ends)
	assert.Equal(t, fails, b.note(fails))
	assert.Contains(t, logged(), h.noAnswer.begins)
	assert.NoError(t, a.note(fails))
	assert.Equal(t, fails, a.note(fails))
	assert.NoError(t, b.note(nil))
	assert.Empty(t, logged(), "one still fails")
	a.giveUp()
	assert.Empty(t, logged(), "nobody knows whether servers answer")
	assert.Zero(t, h.noAnswer.failing)
	assert.NoError(t, h.noAnswer.newest)
	a.giveUp()
	assert.Zero(t, h.noAnswer.failing)
}
