package diamond_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// listed is a client of a store with 100,000 entries of 100 bytes, without a server. Its
// watch yields what is sent to changes.
type listed struct {
	diamond.Client
	changes chan *diamond.ChangesResponse
}

const listedEntries = 100_000

func (*listed) Head(context.Context) (diamond.Position, error) {
	return diamond.Position{Store: conf.StoreID{1}, Revision: listedEntries}, nil
}

func (*listed) List(context.Context, diamond.ListRequest) iter.Seq2[diamond.Entry, error] {
	return func(yield func(diamond.Entry, error) bool) {
		for i := range listedEntries {
			if !yield(listedEntry(i, int64(i+1)), nil) {
				return
			}
		}
	}
}

func listedEntry(i int, revision int64) diamond.Entry {
	content := fmt.Sprintf("%0100d", revision)
	return diamond.Entry{
		Key: inGroup(fmt.Sprintf("k%05d", i)), Content: content, MD5: conf.MD5Hex(content), Size: 100,
		Revision: revision, View: revision,
	}
}

func (*listed) OnError(func(error)) (stop func()) { return func() {} }

func (l *listed) Watch(ctx context.Context, _ diamond.ChangesRequest) iter.Seq2[*diamond.ChangesResponse, error] {
	return func(yield func(*diamond.ChangesResponse, error) bool) {
		for {
			select {
			case resp := <-l.changes:
				if !yield(resp, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// BenchmarkMirrorUpdate is the time from the answer of a watch with one change to the end
// of the callback, in a Mirror of 100,000 entries of 100 bytes. With "loaded" the program
// calls Load between any two changes, so that each of them copies the map.
func BenchmarkMirrorUpdate(b *testing.B) {
	for _, name := range []string{"idle", "loaded"} {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			client := &listed{changes: make(chan *diamond.ChangesResponse)}
			m, err := diamond.Follow(b.Context(), client, followed)
			require.NoError(b, err)
			defer m.Close()
			runtime.GC()
			runtime.ReadMemStats(&after)
			told := make(chan int64, 1)
			m.OnChange(func(u diamond.Update) { told <- u.Revision })
			<-told
			_, at := m.Load()
			m.Load()
			b.ReportAllocs()
			for b.Loop() {
				at.Revision++
				e := listedEntry(int(at.Revision%listedEntries), at.Revision)
				client.changes <- &diamond.ChangesResponse{Position: at, Changes: []diamond.Change{{
					Revision: at.Revision, Count: 1, Key: e.Key, Op: diamond.OpPublish, MD5: e.MD5, Size: e.Size, Content: e.Content,
				}}}
				<-told
				if name == "loaded" {
					m.Load()
				}
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/listedEntries, "B/entry")
		})
	}
}
