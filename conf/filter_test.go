package conf_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/conf"
)

func TestFilterMatches(t *testing.T) {
	keys := []conf.Key{
		{DataID: "app.a"},
		{Group: "g", DataID: "app.b"},
		{Namespace: "other", DataID: "app.a"},
		{Namespace: "other", Group: "g", DataID: "b"},
		{Namespace: "_sys", Group: "g", DataID: "app.a"},
	}
	for _, c := range []struct {
		filter conf.Filter
		want   []int // of keys
	}{
		{conf.Filter{}, []int{0, 1}},
		{conf.Filter{Namespace: conf.DefaultNamespace}, []int{0, 1}},
		{conf.Filter{Namespace: "other"}, []int{2, 3}},
		{conf.Filter{Namespace: "othe"}, nil},
		{conf.Filter{Namespace: conf.AllNamespaces}, []int{0, 1, 2, 3}},
		{conf.Filter{Group: "g"}, []int{1}},
		{conf.Filter{Group: conf.DefaultGroup}, []int{0}},
		{conf.Filter{Prefix: "app."}, []int{0, 1}},
		{conf.Filter{Prefix: "app.a"}, []int{0}},
		{conf.Filter{Prefix: "app.a."}, nil},
		{conf.Filter{Namespace: conf.AllNamespaces, Prefix: "app."}, []int{0, 1, 2}},
		{conf.Filter{Namespace: conf.AllNamespaces, Group: "g"}, []int{1, 3}},
		{conf.Filter{Namespace: conf.AllNamespaces, Group: "g", Prefix: "b"}, []int{3}},
	} {
		var got []int
		for i, k := range keys {
			canonical := c.filter.Matches(k.Canonical())
			assert.Equal(t, canonical, c.filter.Matches(k), "%+v %s", c.filter, k)
			if canonical {
				got = append(got, i)
			}
		}
		assert.Equal(t, c.want, got, "%+v", c.filter)
	}
}

// TestAllNamespacesIsNoName: no key is in a namespace that stands for all.
func TestAllNamespacesIsNoName(t *testing.T) {
	assert.ErrorIs(t, conf.Key{Namespace: conf.AllNamespaces, DataID: "a"}.Validate(), conf.ErrInvalid)
	_, err := conf.ParseKey(conf.AllNamespaces + "/g/a")
	assert.ErrorIs(t, err, conf.ErrInvalid)
}
