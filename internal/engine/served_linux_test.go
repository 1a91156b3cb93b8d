package engine

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// How much processor time a step of the feed takes at a million keys, its part in
// collecting garbage included: that of a set of 1,000 new keys, all over the others,
// and of one that deletes them, after which tombstones go.
func BenchmarkStepAtAMillionKeys(b *testing.B) {
	const keys = 1_000_000
	key := func(i int) conf.Key { return conf.NewKey("", fmt.Sprintf("key-%07d", i)) }
	var cells []*cell
	var tombs []tomb
	for i := range keys {
		cells = append(cells, cellOf(&record{Entry: conf.Entry{Key: key(2 * i), Revision: 1}}))
		if i%4 == 0 { // as many tombstones as are kept
			gone := key(2 * i)
			gone.DataID += "-gone"
			cells = append(cells, cellOf(&record{Entry: conf.Entry{Key: gone, Revision: 1}, deleted: true}))
			tombs = append(tombs, tomb{gone, 1})
		}
	}
	s := newServed(slog.New(slog.DiscardHandler), newContents(DefaultConfig().CacheBytes))
	st := &state{index: newIndex(cells), position: conf.Position{Revision: 1}}
	st.index.tombs = tombs
	st.index.live.Store(keys)
	s.state.Store(st)
	set := func(n int, op conf.Op) step {
		changes := make([]conf.Change, conf.MaxChanges)
		for i := range changes {
			changes[i] = conf.Change{Revision: st.position.Revision + 1, Number: i, Count: len(changes), Op: op, Key: key(2*(n%1000+i*(keys/conf.MaxChanges)) + 1)}
			if op == conf.OpPublish {
				changes[i].Content = strings.Repeat("x", 1024)
			}
		}
		return step{from: st.position, changes: changes, to: conf.Position{Revision: st.position.Revision + 1}}
	}
	for _, m := range []struct {
		name string
		op   conf.Op
	}{{"new", conf.OpPublish}, {"deleted", conf.OpDelete}} {
		b.Run(m.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var times []time.Duration
			for n := 0; b.Loop(); n++ {
				b.StopTimer()
				one := set(n, m.op)
				b.StartTimer()
				begun := threadTime(b)
				st = s.apply(st, []step{one})
				times = append(times, threadTime(b)-begun)
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-half")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "ms-p99")
			b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "ms-longest")
		})
	}
}

// threadTime returns the processor time that the thread has used.
func threadTime(b *testing.B) time.Duration {
	const thisThread = 1
	var used syscall.Rusage
	if err := syscall.Getrusage(thisThread, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
