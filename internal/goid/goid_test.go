package goid

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCurrent(t *testing.T) {
	own := Current()
	assert.NotZero(t, own)
	assert.Equal(t, own, Current())
	other := make(chan uint64)
	go func() { other <- Current() }()
	assert.NotEqual(t, own, <-other)
}
