package server

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A process that is stopped for a while as its listener closes gives its
// connections their time all the same.
func TestL1_StoppedWhileItShutsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(host)
		h.conns.Store(1)
		pauses := 0
		h.linger(func(d time.Duration) {
			switch pauses++; pauses {
			case 1:
				d = time.Minute // it is stopped
			case 3:
				h.conns.Store(0)
			}
			time.Sleep(d)
		})
		assert.Zero(t, h.conns.Load(), "after %d pauses", pauses)
		assert.Equal(t, 3, pauses)
	})
}
