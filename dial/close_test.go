package dial

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	diamond "github.com/linnaname/gdiamond"
)

// part records that it is closed.
type part struct {
	diamond.Client
	name  string
	err   error
	order *[]string
}

func (p part) Close() error {
	*p.order = append(*p.order, p.name)
	return p.err
}

// balancer is a part whose Close returns nothing.
type balancer struct{ part }

func (b balancer) Close() { _ = b.part.Close() }

// The parts are closed in order, whatever fails, and once.
func TestClose_Order(t *testing.T) {
	var order []string
	busy, stuck := errors.New("busy"), errors.New("stuck")
	c := &client{
		Client:  part{name: "client", err: busy, order: &order},
		servers: balancer{part{name: "servers", order: &order}},
		files:   part{name: "files", err: stuck, order: &order},
	}
	err := c.Close()
	assert.ErrorIs(t, err, busy)
	assert.ErrorIs(t, err, stuck)
	assert.NoError(t, c.Close())
	assert.Equal(t, []string{"client", "servers", "files"}, order)
}
