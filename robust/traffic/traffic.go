// Package traffic generates load from a seed: publishers, readers, subscribers and watchers,
// which record all their results.
package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/record"
)

// Target is the system under test.
type Target interface {
	// Transport returns the transport of client to the servers, the same for each call. The
	// target closes it.
	Transport(client int) diamond.Transport
	// Files returns the local files of client, or nil if it has none.
	Files(client int) diamond.LocalFiles
}

// Config describes the traffic.
type Config struct {
	Seed        uint64
	Keys        int
	Subscribers int // clients that listen to all keys
	Watchers    int
	Publishers  int
	Readers     int
	Pause       time.Duration // between two calls of one publisher or reader, on average
	MaxContent  int           // bytes
	// Restarts makes subscribers close and start again from time to time.
	Restarts bool
	// Patience limits some of the writes. 0 means the client's default.
	Patience time.Duration
}

// Clients returns the number of clients of the target.
func (c *Config) Clients() int { return c.Subscribers + c.Watchers + c.Publishers + c.Readers }

// Key returns the number-th key.
func Key(number int) diamond.Key { return diamond.NewKey("", fmt.Sprintf("key-%d", number)) }

// Traffic is running traffic, started by [Start].
type Traffic struct {
	config  Config
	target  Target
	record  *record.Recorder
	known   known
	canary  string
	shown   shown
	quiet   <-chan struct{} // closed when publishers and readers end
	healed  chan struct{}   // closed when nothing may fail any more
	stop    context.CancelFunc
	calling sync.WaitGroup // publishers and readers
	staying sync.WaitGroup // subscribers and watchers
	leave   context.CancelFunc
}

// Start starts traffic against target.
func Start(target Target, config Config, recorder *record.Recorder) *Traffic {
	t := &Traffic{config: config, target: target, record: recorder, canary: Canary(config.Seed), healed: make(chan struct{})}
	t.known.revisions = make(map[diamond.Key][]int64)
	calling, stop := context.WithCancel(context.Background())
	staying, leave := context.WithCancel(context.Background())
	t.stop, t.leave, t.quiet = stop, leave, calling.Done()
	client := 0
	each := func(n int, group *sync.WaitGroup, run func(client int, random *rand.Rand)) {
		for range n {
			number := client
			client++
			group.Go(func() { run(number, rand.New(rand.NewPCG(config.Seed, uint64(number)+1))) })
		}
	}
	each(config.Subscribers, &t.staying, func(c int, r *rand.Rand) { t.subscribe(staying, c, r) })
	each(config.Watchers, &t.staying, func(c int, r *rand.Rand) { t.watch(staying, c, r) })
	each(config.Publishers, &t.calling, func(c int, r *rand.Rand) { t.publish(calling, c, r) })
	each(config.Readers, &t.calling, func(c int, r *rand.Rand) { t.read(calling, c, r) })
	return t
}

// Canary returns the text with which each content of a run begins, and which is in nothing else.
func Canary(seed uint64) string { return fmt.Sprintf("canary-%016x-", seed) }

// Quiet ends publishers and readers, and waits for their last calls.
func (t *Traffic) Quiet() {
	t.stop()
	t.calling.Wait()
}

// Finish ends subscribers and watchers. The values that subscribers hold then are their final
// state, because all faults have healed and they have had time to catch up.
func (t *Traffic) Finish() {
	close(t.healed)
	t.leave()
	t.staying.Wait()
}

// pause waits for some time around the mean, or until ctx ends.
func pause(ctx context.Context, random *rand.Rand, mean time.Duration) {
	timer := time.NewTimer(time.Duration(random.Int64N(int64(2*mean) + 1)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// content returns a new content, or one of two common contents, so that a key can go from A to B
// and back to A.
func (t *Traffic) content(random *rand.Rand, id string) string {
	if random.IntN(2) == 0 {
		return t.canary + string('A'+rune(random.IntN(2)))
	}
	return t.canary + id + strings.Repeat(".", random.IntN(t.config.MaxContent+1))
}

// known is everything that any part of the traffic has seen. Reads ask for at least that.
type known struct {
	mu        sync.Mutex
	newest    diamond.Position        // guarded by mu
	positions []diamond.Position      // guarded by mu; some of those seen
	revisions map[diamond.Key][]int64 // guarded by mu; the latest few of each key
}

// saw records that key is or was at revision, as of at.
func (k *known) saw(key diamond.Key, revision int64, at diamond.Position) {
	const few = 4
	k.mu.Lock()
	defer k.mu.Unlock()
	if at.Compare(k.newest) > 0 {
		k.newest = at
		k.positions = append(k.positions, at)
	}
	latest := k.revisions[key]
	if len(latest) == 0 || latest[len(latest)-1] < revision || revision == 0 && latest[len(latest)-1] != 0 {
		latest = append(latest, revision)
	}
	k.revisions[key] = latest[max(0, len(latest)-few):]
}

func (k *known) position() diamond.Position {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.newest
}

// some returns one of the latest 100 positions, or sometimes zero.
func (k *known) some(random *rand.Rand) diamond.Position {
	k.mu.Lock()
	defer k.mu.Unlock()
	latest := k.positions[max(0, len(k.positions)-100):]
	if len(latest) == 0 || random.IntN(8) == 0 {
		return diamond.Position{}
	}
	return latest[random.IntN(len(latest))]
}

// revision returns a possible revision of key: usually the newest known one, and sometimes an
// earlier one.
func (k *known) revision(random *rand.Rand, key diamond.Key) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	latest := k.revisions[key]
	if len(latest) == 0 {
		return 0
	}
	if random.IntN(4) == 0 {
		return latest[random.IntN(len(latest))]
	}
	return latest[len(latest)-1]
}
