package rawbytes

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOf(t *testing.T) {
	for _, s := range []string{"", "a", "\x00\xff more than one"} {
		b := Of(s)
		assert.NotNil(t, b, "a driver takes nil for NULL")
		assert.Equal(t, s, string(b))
		assert.Equal(t, len(s), cap(b))
	}
	s := "on the heap"
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _ = Of(s) }))
}
