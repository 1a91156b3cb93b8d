package engine

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// positionAt returns the position at a revision of a history that a test makes up.
func positionAt(r int64) conf.Position {
	return conf.Position{Epoch: conf.Epoch{Generation: 1}, Revision: r}
}

// serveSets has r served one set a revision, up to a revision.
func (r *recent) serveSets(upTo int64, size int) {
	r.restart(positionAt(0))
	for i := int64(1); i <= upTo; i++ {
		r.add([]step{{positionAt(i - 1), []conf.Change{{Revision: i, Content: strings.Repeat("x", size)}}, positionAt(i)}})
	}
}

func TestRecentChangesAreBoundedByBytes(t *testing.T) {
	var r recent
	assert.Equal(t, conf.Position{}, r.last())
	r.restart(positionAt(0))
	assert.Equal(t, positionAt(0), r.last())
	for i := int64(1); i <= 100; i++ {
		r.add([]step{{positionAt(i - 1), []conf.Change{{Revision: i, Content: strings.Repeat("x", 1<<20)}}, positionAt(i)}})
		assert.LessOrEqual(t, r.bytes, int64(recentBytes))
		assert.LessOrEqual(t, len(r.sets), recentBytes>>20)
		assert.Equal(t, positionAt(i), r.last())
	}
	first := r.sets[0].from
	_, ok := r.after(positionAt(first.Revision - 1))
	assert.False(t, ok, "too long ago")
	for p := first.Revision; p <= 100; p++ {
		sets, ok := r.after(positionAt(p))
		require.True(t, ok)
		require.Len(t, sets, int(100-p))
		if len(sets) > 0 {
			require.EqualValues(t, p+1, sets[0].changes[0].Revision)
		}
	}
	_, ok = r.after(positionAt(101))
	assert.False(t, ok, "not served yet")
	other := positionAt(100)
	other.Chain[0] = 1
	_, ok = r.after(other)
	assert.False(t, ok, "of another history")
	r.add([]step{{positionAt(100), []conf.Change{{Revision: 101, Content: strings.Repeat("x", recentBytes+1)}}, positionAt(101)}})
	assert.Zero(t, r.bytes, "a set that is too large passes by")
	assert.Equal(t, positionAt(101), r.last())
}

// The changes that wait for a slow disk are bounded. A replica that is further behind reads
// them from the storage.
func TestD5_ReplicaThatIsBehindFollowsWhatIsInMemory(t *testing.T) {
	c := &replica{recent: new(recent)}
	c.recent.serveSets(100, 1<<20)
	next, done := c.next(positionAt(0))
	assert.False(t, done)
	assert.Empty(t, next.changes, "it is too far behind")
	first := c.recent.sets[0].from.Revision
	next, _ = c.next(positionAt(first))
	assert.Len(t, next.changes, 3, "several at once, but not all")
	assert.Equal(t, positionAt(first+3), next.to)
	next, _ = c.next(positionAt(first + 1))
	assert.EqualValues(t, first+2, next.changes[0].Revision, "what the copy has is not written again")
	_, done = c.next(positionAt(100))
	assert.True(t, done)
	_, done = c.next(conf.Position{Epoch: conf.Epoch{Generation: 2}, Revision: 100})
	assert.False(t, done, "another history at the same revision")
}
