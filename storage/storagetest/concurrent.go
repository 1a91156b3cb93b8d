package storagetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
)

func concurrentClauses() []clause {
	return []clause{
		{"INV1_Linearizable", "Publishes, conditional publishes, deletions and reads of a key are linearizable.", func(p *probe) {
			p.linearizable(6, campaign.Scale(p, 60, 400))
		}},
		{"INV2_Prefix", "Revisions are dense and in real-time order; every reader sees a prefix of the log, and the current view of that prefix or a later one.", func(p *probe) {
			p.prefix(4, campaign.Scale(p, 100, 1000))
		}},
		{"Defect_S9_WritersOfOneKey", "Publishes of one key are serialised: each succeeds, none is refused as busy, and the last one is what every view has.", func(p *probe) {
			const writers = 8
			n := campaign.Scale(p, 50, 4188/writers)
			last := make([]conf.Position, writers)
			errs := make([]error, writers)
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := range n {
						r, err := p.store.Commit(p.Context(), []conf.ChangeSet{put("hot", fmt.Sprint(w, "-", i))})
						if errs[w] = errors.Join(err, r[0].Err); errs[w] != nil {
							return
						}
						last[w] = r[0].Position
					}
				})
			}
			wg.Wait()
			require.NoError(p, errors.Join(errs...))
			newest := slices.MaxFunc(last, conf.Position.Compare)
			require.EqualValues(p, writers*n, newest.Revision)
			require.Equal(p, newest.Revision, p.read("hot").Revision)
			changes := p.changes(conf.Position{})
			require.Equal(p, p.read("hot").Content, changes[len(changes)-1].Content)
		}},
		{"S5_NothingStalls", "Failed sets among others neither stall readers nor leave holes, whoever commits.", func(p *probe) {
			n := campaign.Scale(p, 1_000, 10_000)
			var wg sync.WaitGroup
			var committed atomic.Int64
			for w := range 4 {
				wg.Go(func() {
					for i := range n / 4 {
						set := put(fmt.Sprint("k", w), fmt.Sprint(i))
						if i%10 == 9 {
							set = putIf("k0", "lost", 1<<40)
						}
						r, err := p.store.Commit(p.Context(), []conf.ChangeSet{set})
						if err == nil && r[0].Err == nil {
							committed.Add(1)
						}
					}
				})
			}
			wg.Wait()
			require.EqualValues(p, n/4*4-n/4/10*4, committed.Load())
			changes := p.changes(conf.Position{})
			require.EqualValues(p, committed.Load(), len(changes))
			require.EqualValues(p, committed.Load(), changes[len(changes)-1].Revision)
		}},
	}
}

// prefix runs writers and readers concurrently.
func (p *probe) prefix(writers, commits int) {
	var wg sync.WaitGroup
	var newest atomic.Int64 // highest revision that was acknowledged to a writer
	fail := make(chan error, 100)
	for w := range writers {
		wg.Go(func() {
			for i := range commits {
				before := newest.Load()
				r, err := p.store.Commit(p.Context(), []conf.ChangeSet{put(fmt.Sprint("k", w, i%5), fmt.Sprint(i))})
				if err != nil || r[0].Err != nil || r[0].Position.Revision <= before {
					fail <- fmt.Errorf("commit: %v, %v after revision %d", err, r, before)
					return
				}
				for n := newest.Load(); n < r[0].Position.Revision && !newest.CompareAndSwap(n, r[0].Position.Revision); n = newest.Load() {
				}
			}
		})
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var at conf.Position
			view := make(map[conf.Key]int64)
			for {
				select {
				case <-done:
					return
				default:
				}
				seen := newest.Load()
				b, err := p.store.Changes(p.Context(), at, 1<<12)
				if err == nil {
					var next conf.Position
					if next, err = at.Follow(b.Changes); err == nil && (next.Chain != b.Position.Chain || b.Head.Revision < seen) {
						err = fmt.Errorf("position %v follows %v with head %d, acknowledged were %d", b.Position, at, b.Head.Revision, seen)
					}
				}
				if err != nil {
					fail <- err
					return
				}
				for _, c := range b.Changes {
					view[c.Key] = c.Revision
				}
				at = b.Position
				for k, revision := range view {
					if e, err := p.store.Read(p.Context(), k, 0); err != nil || e.Revision < revision {
						fail <- fmt.Errorf("read of %v: %v, revision %d after %d", k, err, e.Revision, revision)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(done)
	readers.Wait()
	close(fail)
	for err := range fail {
		require.NoError(p, err)
	}
	require.Len(p, p.changes(conf.Position{}), writers*commits)
}

// Operations of the linearizability model, for one key.
type (
	operation struct {
		key  string
		kind byte // 'p'ublish, 'c'onditional publish, 'd'elete, 'g'et
		want int64
		text string
	}
	outcome struct {
		conflict, missing bool
		revision          int64
		text              string
	}
	state struct {
		revision int64 // 0 if there is no entry
		text     string
		newest   int64 // of any change of the key
	}
)

// step reports whether an operation can have an outcome in a state, and returns the state
// after it.
func (s state) step(in operation, out outcome) (bool, state) {
	switch in.kind {
	case 'g':
		return out.revision == s.revision && out.text == s.text, s
	case 'd':
		if out.missing {
			return s.revision == 0, s
		}
		return s.revision != 0 && out.revision > s.newest, state{newest: out.revision}
	case 'c':
		if out.conflict {
			return s.revision != in.want && out.revision == s.revision, s
		}
		if s.revision != in.want {
			return false, s
		}
	}
	return out.revision > s.newest, state{out.revision, in.text, out.revision}
}

func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(s, in, out any) (bool, any) {
			return s.(state).step(in.(operation), out.(outcome))
		},
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := make(map[string][]porcupine.Operation)
			for _, op := range history {
				k := op.Input.(operation).key
				byKey[k] = append(byKey[k], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	}
}

// linearizable runs clients on a few keys, and checks the recorded calls.
func (p *probe) linearizable(clients, operations int) {
	var mu sync.Mutex
	var record []porcupine.Operation
	var failed error
	start := time.Now()
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(client), 1))
			known := make(map[string]int64) // the current revision as known to this client
			for i := range operations {
				in := operation{
					key: fmt.Sprint("k", random.IntN(3)), kind: "ppcccdgg"[random.IntN(8)],
					text: fmt.Sprint(client, "-", i),
				}
				in.want = known[in.key]
				call := time.Since(start).Nanoseconds()
				out, err := p.perform(in)
				back := time.Since(start).Nanoseconds()
				known[in.key] = out.revision
				if in.kind == 'd' {
					known[in.key] = 0
				}
				mu.Lock()
				if err != nil {
					failed = err
				}
				record = append(record, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: back})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.NoError(p, failed)
	require.Equal(p, porcupine.Ok, porcupine.CheckOperationsTimeout(model(), record, time.Minute))
}

func (p *probe) perform(in operation) (outcome, error) {
	if in.kind == 'g' {
		e, err := p.store.Read(p.Context(), key(in.key), 0)
		if isNotFound(err) {
			return outcome{}, nil
		}
		return outcome{revision: e.Revision, text: e.Content}, err
	}
	set := put(in.key, in.text)
	switch in.kind {
	case 'c':
		set = putIf(in.key, in.text, in.want)
	case 'd':
		set = del(in.key)
	}
	r, err := p.store.Commit(p.Context(), []conf.ChangeSet{set})
	switch {
	case err != nil:
		return outcome{}, err
	case isNotFound(r[0].Err):
		return outcome{missing: true}, nil
	case r[0].Err != nil:
		current, err := currentOf(r[0].Err)
		return outcome{conflict: true, revision: current}, err
	}
	return outcome{revision: r[0].Position.Revision}, nil
}
