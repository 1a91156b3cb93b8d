package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

// TestINV_Chaos has publishers, readers, listeners and watchers work through a
// link and a server that fail at random, and then checks the invariants from
// what they wrote down. A seed that fails is run again with DIAMOND_SEED.
func TestINV_Chaos(t *testing.T) {
	seeds := []uint64{}
	if seed, err := strconv.ParseUint(os.Getenv("DIAMOND_SEED"), 10, 64); err == nil {
		seeds = append(seeds, seed)
	}
	for i := range campaign.Scale(t, 2, 500) {
		if len(seeds) == 0 || i > 0 && os.Getenv("DIAMOND_SEED") == "" {
			seeds = append(seeds, rand.Uint64())
		}
	}
	before := descriptors(t)
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := t.TempDir() // outside of the bubble: it is looked at afterwards
			var records *chaos
			synctest.Test(t, func(t *testing.T) {
				records = newChaos(t, seed, dir)
				records.run()
			})
			records.check(t)
			report, err := boltstore.Check(t.Context(), dir)
			require.NoError(t, err)
			require.Empty(t, report.Problems, "INV-7")
		})
	}
	// INV-11: a bubble does not end before its goroutines and timers have.
	require.LessOrEqual(t, descriptors(t), before+2, "INV-11")
}

// descriptors returns how many files are open.
func descriptors(t *testing.T) int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	return len(names)
}

const (
	chaosKeys  = 4
	chaosTime  = time.Minute // of a bubble's time
	chaosPause = 400 * time.Millisecond
)

// chaos is one run, and what its parts wrote down.
type chaos struct {
	t     *testing.T
	rand  *rand.Rand // of the run's own goroutine
	seed  uint64
	dir   string
	link  *link
	clock atomic.Int64 // counts events: the bubble's own stands still too often

	mu        sync.Mutex
	ops       []op               // guarded by mu
	acked     diamond.Position   // guarded by mu: the newest acknowledged
	watched   [][]diamond.Change // guarded by mu
	listeners []*listened        // set before the run

	final []diamond.Change // the log at the end
	now   map[diamond.Key]diamond.Entry
	held  []held
}

// op is one call, and its outcome.
type op struct {
	id         string // in the comment of its change set
	client     int
	kind       string // "put", "cas", "delete" or "get"
	key        diamond.Key
	want       int64 // the revision that a cas asks for
	content    string
	call, back int64
	unknown    bool
	conflict   bool
	failed     bool  // certainly not done
	revision   int64 // of what was written or read; 0: no entry
	read       string
}

type listened struct {
	recorder
	key    diamond.Key
	client diamond.Client
}

func newChaos(t *testing.T, seed uint64, dir string) *chaos {
	return &chaos{t: t, seed: seed, dir: dir, rand: rand.New(rand.NewPCG(seed, 0)), link: newLink()}
}

func chaosKey(i int) diamond.Key { return key("key-" + strconv.Itoa(i)) }

// run runs all parts for a while, heals everything, and closes it.
func (c *chaos) run() {
	t := c.t
	store, n := c.start()
	ctx, stop := context.WithCancel(t.Context())
	var clients []diamond.Client
	for range 3 {
		client, err := diamond.NewClient(c.link.transport(t))
		require.NoError(t, err)
		clients = append(clients, client)
		for k := range chaosKeys {
			l := &listened{key: chaosKey(k), client: client}
			_, err := client.Subscribe(l.key, l)
			require.NoError(t, err)
			c.listeners = append(c.listeners, l)
		}
	}
	c.watched = make([][]diamond.Change, 2)
	var writing, watching sync.WaitGroup
	for i := range 4 {
		writing.Go(func() { c.write(ctx, i, clients[i%len(clients)]) })
		writing.Go(func() { c.read(ctx, 4+i) })
	}
	following, unfollow := context.WithCancel(t.Context())
	for i := range c.watched {
		watching.Go(func() { c.watch(following, i, clients[i]) })
	}

	for began := time.Now(); time.Since(began) < chaosTime; {
		time.Sleep(time.Duration(c.rand.IntN(8000)) * time.Millisecond) // fake time: chaos runs in a bubble
		switch c.rand.IntN(5) {
		case 0:
			c.link.cut()
		case 1:
			c.link.swallow()
		case 2: // answers are cut off
			c.link.set(func(l *link) { l.limit = c.rand.Int64N(3000) })
			time.Sleep(time.Duration(c.rand.IntN(3000)) * time.Millisecond) // fake time: chaos runs in a bubble
			c.link.set(func(l *link) { l.limit = -1 })
			c.link.cut()
		case 3: // a planned restart
			n.end()
			require.NoError(t, store.Close())
			time.Sleep(time.Duration(c.rand.IntN(4000)) * time.Millisecond) // fake time: chaos runs in a bubble
			store, n = c.start()
		case 4: // one after which no answer arrives
			c.link.swallow()
			c.link.to(nil)
			n.end()
			require.NoError(t, store.Close())
			time.Sleep(time.Duration(c.rand.IntN(4000)) * time.Millisecond) // fake time: chaos runs in a bubble
			store, n = c.start()
		}
	}
	stop()
	writing.Wait()
	c.link.set(func(l *link) { l.limit = -1 })
	c.link.cut() // the last fault heals
	// Clients that have failed a few times in a row come back with a pause of up
	// to 30 s, so that they do not come all at once.
	time.Sleep(35 * time.Second) // fake time: chaos runs in a bubble
	c.look(store)
	c.ask(clients)
	unfollow()
	watching.Wait()
	for _, client := range clients {
		require.NoError(t, client.Close())
	}
	n.end()
	require.NoError(t, store.Close())
}

// start opens the store and runs a node on it.
func (c *chaos) start() (*boltstore.Store, *node) {
	store, err := boltstore.Open(c.dir)
	require.NoError(c.t, err)
	n := runNode(c.t, store)
	c.link.to(n.listener)
	return store, n
}

// look reads what the store holds at the end.
func (c *chaos) look(store *boltstore.Store) {
	batch, err := store.Changes(c.t.Context(), diamond.Position{}, 1<<30)
	require.NoError(c.t, err)
	require.Equal(c.t, batch.Head, batch.Position)
	c.final = batch.Changes
	page, err := store.Scan(c.t.Context(), conf.ScanRequest{Limit: conf.MaxPage, Contents: true})
	require.NoError(c.t, err)
	c.now = make(map[diamond.Key]diamond.Entry)
	for _, e := range page.Entries {
		c.now[e.Key] = e
	}
}

// write publishes and deletes, with and without conditions.
func (c *chaos) write(ctx context.Context, number int, client diamond.Client) {
	random := rand.New(rand.NewPCG(c.seed, uint64(number)+1))
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(time.Duration(random.Int64N(int64(2 * chaosPause)))) // fake time: chaos runs in a bubble
		o := op{client: number, id: fmt.Sprintf("%d/%d", number, i), key: chaosKey(random.IntN(chaosKeys)), call: c.clock.Add(1)}
		o.kind = []string{"put", "cas", "cas", "delete"}[random.IntN(4)]
		o.content = o.id + bytesOf(random.IntN(2000))
		set := diamond.ChangeSet{Comment: o.id}
		switch o.kind {
		case "delete":
			set.Deletes = []diamond.Delete{{Key: o.key}}
		case "cas":
			if status := client.Status(o.key); len(status) > 0 && !status[0].Deleted {
				o.want = status[0].Revision
			}
			set.Drafts = []diamond.Draft{{Key: o.key, Content: o.content, IfRevision: diamond.Revision(o.want)}}
		default:
			set.Drafts = []diamond.Draft{{Key: o.key, Content: o.content}}
		}
		at, err := client.Commit(context.Background(), set)
		switch {
		case err == nil:
			o.revision = at.Revision
		case errors.Is(err, diamond.ErrConflict), errors.Is(err, diamond.ErrNotFound):
			o.conflict = true
		case errors.Is(err, diamond.ErrUnknownOutcome):
			o.unknown = true
		default:
			o.failed = true
		}
		c.record(o, at)
	}
}

// read reads so that it sees all that was acknowledged before.
func (c *chaos) read(ctx context.Context, number int) {
	random, over := rand.New(rand.NewPCG(c.seed, uint64(number)+1)), c.link.transport(c.t)
	for ctx.Err() == nil {
		time.Sleep(time.Duration(random.Int64N(int64(2 * chaosPause)))) // fake time: chaos runs in a bubble
		c.mu.Lock()
		after := c.acked
		c.mu.Unlock()
		o := op{client: number, kind: "get", key: chaosKey(random.IntN(chaosKeys)), call: c.clock.Add(1)}
		resp, err := over.Fetch(ctx, &conf.FetchRequest{Key: o.key, After: after})
		if err != nil {
			continue
		}
		o.revision, o.read = resp.Entry.Revision, resp.Entry.Content
		c.record(o, diamond.Position{})
	}
}

func (c *chaos) record(o op, at diamond.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o.back = c.clock.Add(1)
	c.ops = append(c.ops, o)
	if at.Compare(c.acked) > 0 {
		c.acked = at
	}
}

// watch follows the changes of two keys.
func (c *chaos) watch(ctx context.Context, i int, client diamond.Client) {
	for resp, err := range client.Watch(ctx, diamond.ChangesRequest{Prefix: fmt.Sprintf("key-%d", i), Contents: true}) {
		if err != nil {
			c.t.Errorf("INV-3: a watch ended: %v", err)
			return
		}
		c.mu.Lock()
		c.watched[i] = append(c.watched[i], resp.Changes...)
		c.mu.Unlock()
	}
}

// ask asks all clients for all keys.
func (c *chaos) ask(clients []diamond.Client) {
	for k := range chaosKeys {
		for i, client := range clients {
			config, err := client.Get(c.t.Context(), chaosKey(k))
			c.held = append(c.held, held{i, chaosKey(k), config, err})
		}
	}
}

// held is what a client had in the end.
type held struct {
	client int
	key    diamond.Key
	config diamond.Config
	err    error
}
