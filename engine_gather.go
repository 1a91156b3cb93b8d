package diamond

import "time"

const (
	// How long a batch waits to be gathered, counted from the end of the last one:
	// as long as that took, divided by gatherShare, within bounds. The longer a
	// transaction takes, the more it is worth to need one less.
	gatherShare   = 4
	minGatherTime = 300 * time.Microsecond
	maxGatherTime = 5 * time.Millisecond
	// For how many batches, after one for which not all came in that time, only
	// half is waited for.
	halfBatches = 16
)

// gathering says for how many commits the next batch waits, and until when. The
// publishers of the last one are likely to come back at once, and those who came
// meanwhile are there: it waits for all of them. Without that every other batch
// would be of one. Where they take longer to come back than the transaction of
// others takes, it waits for half: then one half is answered while the other is
// committed. One that was alone is not waited for.
type gathering struct {
	expected int
	until    time.Time
	halves   int // how many more batches wait for half
}

// begin begins to gather as a batch of n is about to be answered, which took so
// long; inflight is how many publishers wait, its own among them.
func (g *gathering) begin(n, inflight int, took time.Duration) {
	g.expected, g.until = 1, time.Now()
	if n == 1 {
		return
	}
	g.expected = inflight
	if g.halves > 0 {
		g.halves--
		g.expected = (inflight + 1) / 2
	}
	g.expected = min(g.expected, maxBatchSets)
	g.until = g.until.Add(min(max(took/gatherShare, minGatherTime), maxGatherTime))
}

// late notes that not all came in time.
func (g *gathering) late() {
	if g.halves == 0 {
		g.halves = halfBatches
	}
}
