package govern

import (
	"hash/maphash"
	"iter"
	"maps"
)

// tableParts is the number of parts of a table, which are copied one at a time.
const tableParts = 256

// table is a map by texts that does not change once it is sealed. A copy shares the parts
// that it does not write, so that a change costs little in a table of any size.
type table[V any] struct {
	seed  maphash.Seed
	parts [tableParts]map[string]V
	owned *[tableParts]bool // the parts that this copy made; nil once the table is sealed
}

func newTable[V any]() *table[V] { return &table[V]{seed: maphash.MakeSeed()} }

func (t *table[V]) part(key string) uint64 { return maphash.String(t.seed, key) % tableParts }

// get returns the value of key, or the zero V.
func (t *table[V]) get(key string) V { return t.parts[t.part(key)][key] }

// copy returns a table that may be written until it is sealed.
func (t *table[V]) copy() *table[V] {
	c := *t
	c.owned = new([tableParts]bool)
	return &c
}

func (t *table[V]) seal() { t.owned = nil }

// own returns the part of key, for writing.
func (t *table[V]) own(key string) map[string]V {
	i := t.part(key)
	if !t.owned[i] {
		t.owned[i] = true
		if t.parts[i] = maps.Clone(t.parts[i]); t.parts[i] == nil {
			t.parts[i] = make(map[string]V)
		}
	}
	return t.parts[i]
}

func (t *table[V]) set(key string, v V) { t.own(key)[key] = v }

func (t *table[V]) delete(key string) {
	if _, ok := t.parts[t.part(key)][key]; ok {
		delete(t.own(key), key)
	}
}

// all yields every key with its value, in no order.
func (t *table[V]) all() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for i := range t.parts {
			for k, v := range t.parts[i] {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}
