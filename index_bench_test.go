package diamond

import (
	"fmt"
	"testing"
)

// A change set of 1,000 keys among a million: how long the feed takes for it.
func BenchmarkIndexThousandOfAMillion(b *testing.B) {
	const keys = 1_000_000
	key := func(i int) Key { return NewKey("", fmt.Sprintf("key-%07d", i)) }
	slots := make([]*slot, keys)
	for i := range slots {
		slots[i] = slotOf(&record{Entry: Entry{Key: key(2 * i), Revision: 1}})
	}
	ix := newIndex(slots)
	records := func(revision int64, deleted bool) []*record {
		rs := make([]*record, MaxChanges)
		for i := range rs {
			rs[i] = &record{Entry: Entry{Key: key(keys/MaxChanges*2*i + 1), Revision: revision}, deleted: deleted}
		}
		return rs
	}
	b.ReportAllocs()
	for n := int64(1); b.Loop(); n++ {
		b.StopTimer()
		added, deleted := records(2*n, false), records(2*n+1, true)
		b.StartTimer()
		for _, r := range added {
			ix.put(r)
		}
		ix.arrange()
		for _, r := range deleted {
			ix.put(r)
		}
		ix.arrange()
		ix.forget(len(ix.tombs))
	}
}
