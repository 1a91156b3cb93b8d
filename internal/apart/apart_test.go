package apart_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/internal/apart"
)

func TestRun(t *testing.T) {
	done := false
	apart.Run(func() { done = true })
	assert.True(t, done)
	assert.PanicsWithValue(t, "why", func() { apart.Run(func() { panic("why") }) })
}
