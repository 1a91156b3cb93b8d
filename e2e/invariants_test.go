package e2e

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// check checks the invariants from the records alone.
func (c *chaos) check(t *testing.T) {
	unknown := 0
	for _, o := range c.ops {
		if o.unknown {
			unknown++
		}
	}
	t.Logf("%d operations (%d of unknown outcome), %d changes", len(c.ops), unknown, len(c.final))
	require.NotEmpty(t, c.final)
	c.checkLog(t)
	c.checkAcknowledged(t)
	c.checkLinearizable(t)
	c.checkWatches(t)
	c.checkConverged(t)
	for _, l := range c.listeners {
		c.checkListener(t, l)
	}
}

// INV-2 and INV-7: the log is dense, each change once, and what is there now
// is what it leads to.
func (c *chaos) checkLog(t *testing.T) {
	now := make(map[diamond.Key]diamond.Change)
	seen := make(map[string]bool)
	for i, ch := range c.final {
		require.EqualValues(t, i+1, ch.Revision, "INV-2: dense")
		require.False(t, seen[ch.Comment], "INV-2: %s was done twice", ch.Comment)
		seen[ch.Comment] = true
		if ch.Op == diamond.OpDelete {
			delete(now, ch.Key)
		} else {
			now[ch.Key] = ch
		}
	}
	require.Equal(t, len(now), len(c.now), "INV-7")
	for k, ch := range now {
		require.Equal(t, ch.Revision, c.now[k].Revision, "INV-7")
		require.True(t, ch.Content == c.now[k].Content && ch.MD5 == c.now[k].MD5, "INV-7")
	}
}

// INV-2 and INV-6: what was acknowledged is in the log, in the order of time,
// and what certainly failed is not.
func (c *chaos) checkAcknowledged(t *testing.T) {
	byID := make(map[string]diamond.Change)
	for _, ch := range c.final {
		byID[ch.Comment] = ch
	}
	var acked []op
	for _, o := range c.ops {
		ch, done := byID[o.id]
		switch {
		case o.kind == "get", o.unknown:
			continue
		case o.conflict, o.failed:
			require.False(t, done, "INV-6: %s failed, and is there", o.id)
			continue
		}
		require.True(t, done, "INV-6: %s was acknowledged, and is not there", o.id)
		require.Equal(t, ch.Revision, o.revision, "INV-6")
		require.Equal(t, ch.Key, o.key, "INV-6")
		require.True(t, o.kind == "delete" || ch.Content == o.content, "INV-8")
		acked = append(acked, o)
	}
	slices.SortFunc(acked, func(a, b op) int { return int(a.revision - b.revision) })
	latest := int64(0) // call of any with a lower revision
	for _, o := range acked {
		require.Greater(t, o.back, latest, "INV-2: %s came back before one of a lower revision was called", o.id)
		latest = max(latest, o.call)
	}
}

// INV-1: the calls for each key are linearizable. A call of unknown outcome has
// one by now: the log's.
func (c *chaos) checkLinearizable(t *testing.T) {
	byID := make(map[string]diamond.Change)
	for _, ch := range c.final {
		byID[ch.Comment] = ch
	}
	byKey := make(map[diamond.Key][]porcupine.Operation)
	for _, o := range c.ops {
		if o.unknown {
			ch, done := byID[o.id]
			if !done {
				continue
			}
			o.revision, o.back = ch.Revision, math.MaxInt64
		}
		if !o.failed {
			byKey[o.key] = append(byKey[o.key], porcupine.Operation{ClientId: o.client, Input: o, Output: o, Call: o.call, Return: o.back})
		}
	}
	for k, history := range byKey {
		require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(entryModel(), history, time.Minute), "INV-1: %s", k)
	}
}

type entryState struct {
	revision int64
	content  string
}

func entryModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return entryState{} },
		Step: func(state, input, _ any) (bool, any) {
			now, o := state.(entryState), input.(op)
			switch {
			case o.kind == "get":
				return now == entryState{o.revision, o.read}, now
			case o.kind == "delete" && o.conflict:
				return now.revision == 0, now
			case o.kind == "delete":
				return now.revision != 0, entryState{}
			case o.conflict:
				return o.kind == "cas" && now.revision != o.want, now
			case o.kind == "cas" && now.revision != o.want:
				return false, now
			}
			return o.revision > now.revision, entryState{o.revision, o.content}
		},
		Equal: func(a, b any) bool { return a == b },
	}
}

// INV-3: a watch that reconnected again and again has what the log has, no
// more, no less, in its order.
func (c *chaos) checkWatches(t *testing.T) {
	for i, got := range c.watched {
		var want []diamond.Change
		for _, ch := range c.final {
			if ch.Key == chaosKey(i) {
				want = append(want, ch)
			}
		}
		require.Len(t, got, len(want), "INV-3")
		for j := range want {
			require.Equal(t, want[j].Revision, got[j].Revision, "INV-3")
			require.Equal(t, want[j].Op, got[j].Op, "INV-3")
			require.True(t, want[j].Content == got[j].Content, "INV-3")
		}
	}
}

// INV-5: five seconds after the last fault all clients hold what the store does.
func (c *chaos) checkConverged(t *testing.T) {
	for _, h := range c.held {
		e, ok := c.now[h.key]
		if !ok {
			require.ErrorIs(t, h.err, diamond.ErrNotFound, "INV-5: client %d, %s", h.client, h.key)
			continue
		}
		require.NoError(t, h.err, "INV-5: client %d", h.client)
		require.Equal(t, e.Revision, h.config.Revision, "INV-5: client %d, %s", h.client, h.key)
		require.True(t, e.Content == h.config.Content, "INV-5")
	}
}

// INV-4, INV-8, INV-9 and INV-10: what a listener was told never went back, is
// what the log says of that revision, and ends with what there is.
func (c *chaos) checkListener(t *testing.T, l *listened) {
	changes := make(map[int64]diamond.Change)
	var last diamond.Change
	for _, ch := range c.final {
		if ch.Key == l.key {
			changes[ch.Revision], last = ch, ch
		}
	}
	revision := int64(0)
	told := l.all()
	for i, config := range told {
		if config.Deleted {
			require.True(t, i > 0 && !told[i-1].Deleted, "a deletion once, and of what was there")
			gone := false
			for r, ch := range changes {
				gone = gone || r > revision && ch.Op == diamond.OpDelete
			}
			require.True(t, gone, "INV-9: it was taken away, and nobody had deleted it after revision %d", revision)
			continue
		}
		require.Greater(t, config.Revision, revision, "INV-4")
		revision = config.Revision
		ch, ok := changes[revision]
		require.True(t, ok, "INV-8")
		require.True(t, ch.Content == config.Content && conf.MD5Hex(config.Content) == ch.MD5 && config.MD5 == ch.MD5, "INV-8")
	}
	switch {
	case last.Op == diamond.OpDelete:
		require.True(t, len(told) == 0 || told[len(told)-1].Deleted, "INV-10")
	case last.Revision > 0:
		require.Equal(t, last.Revision, revision, "INV-10")
		require.False(t, told[len(told)-1].Deleted, "INV-10")
	}
}
