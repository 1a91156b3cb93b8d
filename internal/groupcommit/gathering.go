package groupcommit

import "time"

const (
	// How long a batch waits to be gathered, counted from the end of the last one:
	// as long as that took, divided by gatherShare, within bounds. The longer a
	// transaction takes, the more it is worth to need one less.
	gatherShare   = 4
	minGatherTime = 300 * time.Microsecond
	maxGatherTime = 5 * time.Millisecond
	// halfBatches is how many batches wait for half of the callers after one for which
	// not all came in time.
	halfBatches = 16
)

// gathering decides how many items the next batch waits for, and until when. After a
// batch of several all callers are expected back: without the wait every other batch
// would have one item. If they come late, the next halfBatches batches wait for half
// of them only, so that one half is committed while the other is answered. After a
// batch of one item nobody is waited for.
type gathering struct {
	expected int
	until    time.Time
	halves   int // how many more batches wait for half
}

// begin begins to gather when a batch of n, which took so long, is about to be
// answered. Inflight is how many callers wait, those of the batch among them, and most
// how many items a batch may have.
func (g *gathering) begin(n, inflight, most int, took time.Duration) {
	g.expected, g.until = 1, time.Now()
	if n == 1 {
		return
	}
	g.expected = inflight
	if g.halves > 0 {
		g.halves--
		g.expected = (inflight + 1) / 2
	}
	g.expected = min(g.expected, most)
	g.until = g.until.Add(min(max(took/gatherShare, minGatherTime), maxGatherTime))
}

// late notes that not all came in time.
func (g *gathering) late() {
	if g.halves == 0 {
		g.halves = halfBatches
	}
}
