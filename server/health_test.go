package server

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	diamond "github.com/linnaname/gdiamond"
)

// The page has one line for each thing, also where reads and writes both fail.
func TestHealth_OneLineEach(t *testing.T) {
	read := diamond.Errorf(diamond.ErrUnavailable, "cannot be read")
	write := diamond.Errorf(diamond.ErrUnavailable, "cannot be written")
	text := storageText(&diamond.ServerStatus{Storage: errors.Join(read, write)})
	assert.NotContains(t, text, "\n")
	assert.Contains(t, text, "cannot be read")
	assert.Contains(t, text, "cannot be written")
}
