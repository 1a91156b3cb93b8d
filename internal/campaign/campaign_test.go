package campaign

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// logged is a test whose log is kept.
type logged struct {
	testing.TB
	lines []string
}

func (l *logged) Logf(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func TestScale(t *testing.T) {
	for _, c := range []struct {
		said   string
		on     bool
		count  int
		logged string
	}{
		{"1", true, 1000, "running 1000 of 1000"},
		{"", false, 100, "running 100 of 1000"},
		{"0", false, 100, "running 100 of 1000"},
	} {
		t.Setenv("DIAMOND_CAMPAIGN", c.said)
		l := &logged{TB: t}
		assert.Equal(t, c.on, On(), "%q", c.said)
		assert.Equal(t, c.count, Scale(l, 100, 1000), "%q", c.said)
		assert.Equal(t, []string{c.logged}, l.lines, "%q", c.said)
	}
}
