package dial

import (
	"errors"
	"io"
	"sync/atomic"

	diamond "github.com/linnaname/gdiamond"
)

// client is a [diamond.Client] that closes its parts too.
type client struct {
	diamond.Client
	servers interface{ Close() }
	files   io.Closer // or nil
	closed  atomic.Bool
}

// Close implements [diamond.Client]. The client comes first, because its snapshots need
// the files, and its last reports the servers. Like that of the client, a second Close
// returns at once, also while the first one is waiting for the listener that called it.
func (c *client) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	err := c.Client.Close()
	return errors.Join(err, c.closeParts())
}

// closeParts closes all but the client.
func (c *client) closeParts() error {
	c.servers.Close()
	if c.files == nil {
		return nil
	}
	return c.files.Close()
}
