package conf_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func TestPositionText(t *testing.T) {
	p := conf.Position{
		Store:    conf.StoreID{1, 2, 3},
		Epoch:    conf.Epoch{Generation: 7, ID: [16]byte{9}},
		Revision: 1 << 40,
		Chain:    conf.Chain{0xff, 1},
	}
	back, err := conf.ParsePosition(p.String())
	require.NoError(t, err)
	assert.Equal(t, p, back)
	assert.Len(t, p.String(), 107)

	zero, err := conf.ParsePosition("")
	require.NoError(t, err)
	assert.True(t, zero.IsZero())
	assert.Empty(t, zero.String())

	s := p.String()
	for _, bad := range []string{"x", s + "A", s[1:], "!" + s[1:], s[:106] + "\n"} {
		_, err := conf.ParsePosition(bad)
		assert.ErrorIs(t, err, conf.ErrInvalid, "%q", bad)
	}
}

func TestPositionCompare(t *testing.T) {
	at := func(generation, revision int64) conf.Position {
		return conf.Position{Epoch: conf.Epoch{Generation: generation}, Revision: revision}
	}
	assert.Negative(t, at(1, 9).Compare(at(2, 1)), "a new epoch is ahead whatever its revision")
	assert.Positive(t, at(1, 9).Compare(at(1, 8)))
	assert.Zero(t, at(1, 9).Compare(at(1, 9)))
}

func publish(revision int64, number, count int, id, content string) conf.Change {
	return conf.Change{
		Revision: revision, Number: number, Count: count, Key: conf.NewKey("", id), Op: conf.OpPublish,
		MD5: conf.MD5Hex(content), SHA256: sha256.Sum256([]byte(content)), Size: int64(len(content)), Content: content,
	}
}

func TestFollow(t *testing.T) {
	one, two, three := publish(1, 0, 1, "a", "1"), publish(2, 0, 2, "a", "2"), publish(2, 1, 2, "b", "2")
	p, err := conf.Position{}.Follow([]conf.Change{one, two, three})
	require.NoError(t, err)
	assert.EqualValues(t, 2, p.Revision)
	assert.Equal(t, conf.Chain{}.Extend(&one).Extend(&two).Extend(&three), p.Chain)

	stepwise, err := conf.Position{}.Follow([]conf.Change{one})
	require.NoError(t, err)
	stepwise, err = stepwise.Follow([]conf.Change{two, three})
	require.NoError(t, err)
	assert.Equal(t, p, stepwise, "how changes are batched leaves no trace")

	torn := one
	torn.Content = "x"
	late := three
	late.Count = 3
	for name, bad := range map[string][]conf.Change{
		"gap":                           {one, publish(3, 0, 1, "a", "3")},
		"repeat":                        {one, one},
		"first missing":                 {two, three},
		"split set":                     {one, two},
		"tail of a set":                 {one, three},
		"other count":                   {one, two, late},
		"torn content":                  {torn},
		"fork without a new generation": {one, {Revision: 2, Count: 1, Op: conf.OpFork}},
	} {
		_, err := conf.Position{}.Follow(bad)
		assert.ErrorIs(t, err, conf.ErrCorrupt, name)
	}

	fork := conf.Change{Revision: 9, Count: 1, Op: conf.OpFork, Epoch: conf.Epoch{Generation: 2, ID: [16]byte{1}}}
	forked, err := p.Follow([]conf.Change{fork, publish(10, 0, 1, "a", "4")})
	require.NoError(t, err, "a fork may leave a gap before it")
	assert.Equal(t, fork.Epoch, forked.Epoch)
}

// TestChainCoversEveryField: a change that differs anywhere has another chain.
func TestChainCoversEveryField(t *testing.T) {
	base := publish(1, 0, 1, "a", "1")
	seen := map[conf.Chain]string{conf.Chain{}.Extend(&base): "base", conf.Chain{1}.Extend(&base): "previous"}
	for name, change := range map[string]func(*conf.Change){
		"revision":  func(c *conf.Change) { c.Revision++ },
		"number":    func(c *conf.Change) { c.Number++ },
		"count":     func(c *conf.Change) { c.Count++ },
		"namespace": func(c *conf.Change) { c.Key.Namespace += "x" },
		"group":     func(c *conf.Change) { c.Key.Group += "x" },
		"dataId":    func(c *conf.Change) { c.Key.DataID += "x" },
		"shifted": func(c *conf.Change) {
			c.Key.Namespace, c.Key.Group = c.Key.Namespace+c.Key.Group[:1], c.Key.Group[1:]
		},
		"op":         func(c *conf.Change) { c.Op = conf.OpDelete },
		"type":       func(c *conf.Change) { c.Type = "json" },
		"md5":        func(c *conf.Change) { c.MD5 = "0" },
		"sha256":     func(c *conf.Change) { c.SHA256[31]++ },
		"size":       func(c *conf.Change) { c.Size++ },
		"meta":       func(c *conf.Change) { c.Meta = map[string]string{"a": "b"} },
		"meta value": func(c *conf.Change) { c.Meta = map[string]string{"a": "c"} },
		"author":     func(c *conf.Change) { c.Author.Name = "x" },
		"address":    func(c *conf.Change) { c.Address = "x" },
		"comment":    func(c *conf.Change) { c.Comment = "x" },
		"origin":     func(c *conf.Change) { c.Origin = "x" },
		"time":       func(c *conf.Change) { c.Time = time.UnixMicro(1) },
		"epoch":      func(c *conf.Change) { c.Epoch.Generation = 1 },
		"epoch id":   func(c *conf.Change) { c.Epoch.ID[0] = 1 },
	} {
		c := base
		change(&c)
		sum := conf.Chain{}.Extend(&c)
		assert.NotContains(t, seen, sum, name)
		seen[sum] = name
	}
}

// TestChainGolden pins the encoding: stored chains must verify for ever.
func TestChainGolden(t *testing.T) {
	c := publish(3, 0, 1, "a", "content")
	c.Type, c.Comment, c.Author.Name, c.Time = "text", "why", "who", time.UnixMicro(1_700_000_000_000_001)
	c.Meta = map[string]string{"b": "2", "a": "1"}
	assert.Equal(t, "f6fa8fd7165239739d9471c571b620162313c673a2c6f0dbb2ba1629ee4a136e", conf.Chain{1}.Extend(&c).String())
	c.Origin = "console"
	assert.Equal(t, "cbd37f05fd4110fb017b0d9fc365415cae6b793c92b820e972521be2e7b0aa24", conf.Chain{1}.Extend(&c).String())
}
