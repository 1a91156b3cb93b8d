package httpserve_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// What is made of an entry is made once, and never given for another one: a storage
// that lost history may have another value at the same revision.
func TestEntryCache(t *testing.T) {
	made := 0
	cache := httpserve.NewEntryCache(func(e *conf.Entry) *string {
		made++
		text := e.Key.String() + " " + e.MD5
		return &text
	})
	e := conf.Entry{Key: conf.NewKey("g", "k"), Revision: 7, View: 7, MD5: conf.MD5Hex("a"), Modified: time.Unix(1, 0)}
	first := cache.Of(&e)
	same := e
	assert.Same(t, first, cache.Of(&same))
	assert.Equal(t, 1, made)
	for name, change := range map[string]func(*conf.Entry){
		"revision": func(e *conf.Entry) { e.Revision++ },
		"view":     func(e *conf.Entry) { e.View++ },
		"content":  func(e *conf.Entry) { e.MD5 = conf.MD5Hex("b") },
		"time":     func(e *conf.Entry) { e.Modified = e.Modified.Add(time.Microsecond) },
		"key":      func(e *conf.Entry) { e.Key.Group = "other" },
	} {
		other := e
		change(&other)
		before := cache.Of(&e)
		assert.NotSame(t, before, cache.Of(&other), name)
		assert.Equal(t, other.Key.String()+" "+other.MD5, *cache.Of(&other), name)
	}
}
