package freshstack_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/internal/freshstack"
)

func TestRun(t *testing.T) {
	done := false
	freshstack.Run(func() { done = true })
	assert.True(t, done)
	assert.PanicsWithValue(t, "why", func() { freshstack.Run(func() { panic("why") }) })
}
