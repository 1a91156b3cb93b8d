package proxy

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// pieceSize is the number of bytes that are carried at once, unless the conditions set less.
const pieceSize = 16 << 10

// carried is one connection through the proxy.
type carried struct {
	proxy          *Proxy
	client, server net.Conn
	once           sync.Once
	done           chan struct{} // closed when both ends are

	swallowed bool  // guarded by proxy.mu
	answered  int64 // bytes that came back; only their pump uses it
}

// reset closes both ends like a failure.
func (c *carried) reset() { c.close(reset) }

// finish closes both ends after one of them has closed. Sent data still arrives.
func (c *carried) finish() { c.close(func(conn net.Conn) { _ = conn.Close() }) }

func (c *carried) close(end func(net.Conn)) {
	c.once.Do(func() {
		close(c.done)
		end(c.client)
		end(c.server)
	})
}

// pump carries data from one end to the other until an end closes.
func (c *carried) pump(to, from net.Conn, up bool) {
	buffer := make([]byte, pieceSize)
	for {
		n, err := from.Read(buffer[:c.piece()])
		conditions, lost := c.await(up)
		if lost {
			if err != nil { // the other end is not told
				_ = from.Close()
				return
			}
			continue
		}
		if n > 0 {
			c.delay(conditions, n)
		}
		cut := false
		if !up {
			n, cut = c.limit(conditions, n)
		}
		_, failed := to.Write(buffer[:n])
		switch {
		case failed == nil && err == nil && !cut:
			continue
		case c.isSwallowed(): // the other end is not told
		case cut:
			c.reset()
		default:
			c.finish()
		}
		return
	}
}

// limit returns the number of n bytes that still come back, and whether they are the last.
func (c *carried) limit(now Conditions, n int) (left int, cut bool) {
	if rest := now.Limit - c.answered; now.Limit > 0 && int64(n) >= rest {
		n, cut = int(max(rest, 0)), true
	}
	c.answered += int64(n)
	return n, cut
}

func (c *carried) piece() int {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	if n := c.proxy.now.Piece; n > 0 {
		return min(n, pieceSize)
	}
	return pieceSize
}

func (c *carried) isSwallowed() bool {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	return c.swallowed
}

// await waits while the direction is stalled, and returns the conditions then. lost reports
// that the data is lost.
func (c *carried) await(up bool) (now Conditions, lost bool) {
	for {
		p := c.proxy
		p.mu.Lock()
		now, changed := p.now, p.changed
		stalled := (up && now.StallUp || !up && now.StallDown) && !p.closed
		lost = c.swallowed
		p.mu.Unlock()
		if !stalled || lost {
			return now, lost
		}
		select {
		case <-changed:
		case <-c.done:
			return now, false
		}
	}
}

// delay waits for the time that n bytes take.
func (c *carried) delay(now Conditions, n int) {
	d := now.Latency
	if now.Jitter > 0 {
		d += rand.N(now.Jitter)
	}
	if now.Bandwidth > 0 {
		d += time.Duration(n) * time.Second / time.Duration(now.Bandwidth)
	}
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.done:
	}
}
