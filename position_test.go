package diamond_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

func TestPositionText(t *testing.T) {
	p := diamond.Position{
		Store:    diamond.StoreID{1, 2, 3},
		Epoch:    diamond.Epoch{Generation: 7, ID: [16]byte{9}},
		Revision: 1 << 40,
		Chain:    diamond.Chain{0xff, 1},
	}
	back, err := diamond.ParsePosition(p.String())
	require.NoError(t, err)
	assert.Equal(t, p, back)
	assert.Len(t, p.String(), 107)

	zero, err := diamond.ParsePosition("")
	require.NoError(t, err)
	assert.True(t, zero.IsZero())
	assert.Empty(t, zero.String())

	s := p.String()
	for _, bad := range []string{"x", s + "A", s[1:], "!" + s[1:], s[:106] + "\n"} {
		_, err := diamond.ParsePosition(bad)
		assert.ErrorIs(t, err, diamond.ErrInvalid, "%q", bad)
	}
}

func TestPositionCompare(t *testing.T) {
	at := func(generation, revision int64) diamond.Position {
		return diamond.Position{Epoch: diamond.Epoch{Generation: generation}, Revision: revision}
	}
	assert.Negative(t, at(1, 9).Compare(at(2, 1)), "a new epoch is ahead whatever its revision")
	assert.Positive(t, at(1, 9).Compare(at(1, 8)))
	assert.Zero(t, at(1, 9).Compare(at(1, 9)))
}

func publish(revision int64, number, count int, id, content string) diamond.Change {
	return diamond.Change{
		Revision: revision, Number: number, Count: count, Key: diamond.NewKey("", id), Op: diamond.OpPublish,
		MD5: diamond.MD5Hex(content), SHA256: sha256.Sum256([]byte(content)), Size: int64(len(content)), Content: content,
	}
}

func TestFollow(t *testing.T) {
	one, two, three := publish(1, 0, 1, "a", "1"), publish(2, 0, 2, "a", "2"), publish(2, 1, 2, "b", "2")
	p, err := diamond.Position{}.Follow([]diamond.Change{one, two, three})
	require.NoError(t, err)
	assert.EqualValues(t, 2, p.Revision)
	assert.Equal(t, diamond.Chain{}.Extend(&one).Extend(&two).Extend(&three), p.Chain)

	stepwise, err := diamond.Position{}.Follow([]diamond.Change{one})
	require.NoError(t, err)
	stepwise, err = stepwise.Follow([]diamond.Change{two, three})
	require.NoError(t, err)
	assert.Equal(t, p, stepwise, "how changes are batched leaves no trace")

	torn := one
	torn.Content = "x"
	late := three
	late.Count = 3
	for name, bad := range map[string][]diamond.Change{
		"gap":                           {one, publish(3, 0, 1, "a", "3")},
		"repeat":                        {one, one},
		"first missing":                 {two, three},
		"split set":                     {one, two},
		"tail of a set":                 {one, three},
		"other count":                   {one, two, late},
		"torn content":                  {torn},
		"fork without a new generation": {one, {Revision: 2, Count: 1, Op: diamond.OpFork}},
	} {
		_, err := diamond.Position{}.Follow(bad)
		assert.ErrorIs(t, err, diamond.ErrCorrupt, name)
	}

	fork := diamond.Change{Revision: 9, Count: 1, Op: diamond.OpFork, Epoch: diamond.Epoch{Generation: 2, ID: [16]byte{1}}}
	forked, err := p.Follow([]diamond.Change{fork, publish(10, 0, 1, "a", "4")})
	require.NoError(t, err, "a fork may leave a gap before it")
	assert.Equal(t, fork.Epoch, forked.Epoch)
}

// TestChainCoversEveryField: a change that differs anywhere has another chain.
func TestChainCoversEveryField(t *testing.T) {
	base := publish(1, 0, 1, "a", "1")
	seen := map[diamond.Chain]string{diamond.Chain{}.Extend(&base): "base", diamond.Chain{1}.Extend(&base): "previous"}
	for name, change := range map[string]func(*diamond.Change){
		"revision":  func(c *diamond.Change) { c.Revision++ },
		"number":    func(c *diamond.Change) { c.Number++ },
		"count":     func(c *diamond.Change) { c.Count++ },
		"namespace": func(c *diamond.Change) { c.Key.Namespace += "x" },
		"group":     func(c *diamond.Change) { c.Key.Group += "x" },
		"dataId":    func(c *diamond.Change) { c.Key.DataID += "x" },
		"shifted": func(c *diamond.Change) {
			c.Key.Namespace, c.Key.Group = c.Key.Namespace+c.Key.Group[:1], c.Key.Group[1:]
		},
		"op":         func(c *diamond.Change) { c.Op = diamond.OpDelete },
		"type":       func(c *diamond.Change) { c.Type = "json" },
		"md5":        func(c *diamond.Change) { c.MD5 = "0" },
		"sha256":     func(c *diamond.Change) { c.SHA256[31]++ },
		"size":       func(c *diamond.Change) { c.Size++ },
		"meta":       func(c *diamond.Change) { c.Meta = map[string]string{"a": "b"} },
		"meta value": func(c *diamond.Change) { c.Meta = map[string]string{"a": "c"} },
		"author":     func(c *diamond.Change) { c.Author.Name = "x" },
		"address":    func(c *diamond.Change) { c.Address = "x" },
		"comment":    func(c *diamond.Change) { c.Comment = "x" },
		"time":       func(c *diamond.Change) { c.Time = time.UnixMicro(1) },
		"epoch":      func(c *diamond.Change) { c.Epoch.Generation = 1 },
		"epoch id":   func(c *diamond.Change) { c.Epoch.ID[0] = 1 },
	} {
		c := base
		change(&c)
		sum := diamond.Chain{}.Extend(&c)
		assert.NotContains(t, seen, sum, name)
		seen[sum] = name
	}
}

// TestChainGolden pins the encoding: stored chains must verify for ever.
func TestChainGolden(t *testing.T) {
	c := publish(3, 0, 1, "a", "content")
	c.Type, c.Comment, c.Author.Name, c.Time = "text", "why", "who", time.UnixMicro(1_700_000_000_000_001)
	c.Meta = map[string]string{"b": "2", "a": "1"}
	assert.Equal(t, "f6fa8fd7165239739d9471c571b620162313c673a2c6f0dbb2ba1629ee4a136e", diamond.Chain{1}.Extend(&c).String())
}
