package codec

import (
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type part struct {
	Numbers []int
	Labels  map[string]int
	Deep    map[string][]map[string]*int
}

type base struct{ Inherited map[string]int }

type other struct{ Inherited2 map[string]int }

// set changes in place what it has, as many types of programs do.
type set struct{ has map[string]bool }

func (s *set) UnmarshalText(text []byte) error {
	if s.has == nil {
		s.has = make(map[string]bool)
	}
	s.has[string(text)] = true
	return nil
}

type whole struct {
	base
	*other
	Text    string
	Part    part
	Pointer *part
	Parts   []part
	Array   [2][]int
	Any     any
	Nested  map[string]map[string]int
	Limit   *big.Int
	Bound   big.Int
	Bounds  map[string]*big.Int
	Set     set
	SetTo   *set
	Raw     []byte
}

func newWhole() whole {
	one := 1
	newPart := func() part {
		return part{
			Numbers: []int{1, 2}, Labels: map[string]int{"a": 1},
			Deep: map[string][]map[string]*int{"x": {{"y": &one}}},
		}
	}
	pointer := newPart()
	return whole{
		base: base{map[string]int{"b": 1}}, other: &other{map[string]int{"o": 1}},
		Text: "t", Part: newPart(), Pointer: &pointer, Parts: []part{newPart()}, Array: [2][]int{{1}, {2}},
		Any:    map[string]any{"list": []any{"x", map[string]any{"k": "v"}}},
		Nested: map[string]map[string]int{"x": {"y": 1}},
		Limit:  big.NewInt(5), Bound: *big.NewInt(6), Bounds: map[string]*big.Int{"k": big.NewInt(7)},
		Set: set{map[string]bool{"s": true}}, SetTo: &set{map[string]bool{"s": true}}, Raw: []byte("raw"),
	}
}

// change changes all that p refers to, in place.
func (p *part) change() {
	p.Numbers[0]++
	p.Labels["a"]++
	p.Labels["b"] = 2
	*p.Deep["x"][0]["y"]++
	p.Deep["x"][0] = nil
}

func (w *whole) change() {
	w.Inherited["b"]++
	w.Inherited2["o"]++
	w.Part.change()
	w.Pointer.change()
	w.Parts[0].change()
	w.Array[0][0]++
	list := w.Any.(map[string]any)["list"].([]any)
	list[1].(map[string]any)["k"] = "changed"
	list[0] = "changed"
	for _, n := range []*big.Int{w.Limit, &w.Bound, w.Bounds["k"]} {
		n.SetInt64(99) // into the words that it has
	}
	_ = w.Set.UnmarshalText([]byte("changed"))
	_ = w.SetTo.UnmarshalText([]byte("changed"))
	w.Nested["x"]["y"]++
	w.Raw[0]++
}

func TestCopy_IsEqualAndOnItsOwn(t *testing.T) {
	original := newWhole()
	first := Copy(original).(whole)
	assert.Equal(t, original, first)
	first.change()
	require.NotEqual(t, original, first)
	assert.Equal(t, newWhole(), original)
	second := Copy(original).(whole)
	original.change()
	assert.Equal(t, newWhole(), second)
}

// A decoder writes into what it finds, so it must find a copy.
func TestCopy_DecodingIntoItChangesNothingElse(t *testing.T) {
	original := newWhole()
	for range 2 {
		into := Copy(original).(whole)
		content := `{"Inherited": {"b": 9, "c": 9}, "Inherited2": {"o": 9}, "Part": {"Labels": {"a": 9}},
			"Pointer": {"Numbers": [9], "Labels": {"a": 9}}, "Any": {"k": 9}, "Nested": {"x": {"z": 9}}, "Limit": 9, "Bound": 9, "Bounds": {"k": 9},
			"Set": "nine", "Raw": "AAAA"}`
		require.NoError(t, Decode("json", []byte(content), &into, true))
		assert.Equal(t, map[string]int{"b": 9, "c": 9}, into.Inherited)
		assert.Equal(t, map[string]map[string]int{"x": {"y": 1, "z": 9}}, into.Nested)
		assert.Equal(t, int64(9), into.Bounds["k"].Int64())
		assert.Equal(t, map[string]bool{"s": true, "nine": true}, into.Set.has, "merged, as its type does it")
		assert.Equal(t, newWhole(), original)
	}
}

type node struct {
	Next *node
	All  []*node
	Of   map[*node]string
	Any  any
}

func TestCopy_AliasesAndCycles(t *testing.T) {
	a := &node{}
	a.Next = &node{Next: a}
	a.All = []*node{a, a.Next}
	a.Next.All = a.All
	a.Of = map[*node]string{a: "a"}
	list := []any{nil}
	list[0] = list
	a.Any = list

	b := Copy(a).(*node)
	require.NotSame(t, a, b)
	require.NotSame(t, a.Next, b.Next)
	assert.Same(t, b, b.Next.Next)
	assert.Same(t, b, b.All[0])
	assert.Same(t, b.Next, b.All[1])
	assert.Same(t, &b.All[0], &b.Next.All[0], "one list")
	assert.Equal(t, map[*node]string{b: "a"}, b.Of)
	inner := b.Any.([]any)
	assert.Same(t, &inner[0], &inner[0].([]any)[0])
	assert.NotSame(t, &list[0], &inner[0])

	words := []string{"a", "b", "c"}
	parts := Copy([][]string{words, words[:2]}).([][]string)
	assert.Equal(t, [][]string{{"a", "b", "c"}, {"a", "b"}}, parts)
	grown := append(parts[1], "x")
	assert.Equal(t, "c", parts[0][2], "%v", grown)
}

type withHandles struct {
	Lock    *sync.Mutex
	Zone    *time.Location
	Channel chan int
	Func    func() int
	Err     error
	When    *time.Time
	hidden  *int
	deep    map[string]*int
	Deep    map[string]*int
}

func TestCopy_WhatIsShared(t *testing.T) {
	one, now := 1, time.Now()
	a := withHandles{
		Lock: new(sync.Mutex), Zone: time.Local, Channel: make(chan int), Func: func() int { return 7 },
		Err: &ownError{}, When: &now, hidden: &one, deep: map[string]*int{"k": &one},
	}
	a.Deep = a.deep
	b := Copy(a).(withHandles)
	assert.Same(t, a.Lock, b.Lock)
	assert.Same(t, time.Local, b.Zone)
	assert.Equal(t, a.Channel, b.Channel)
	assert.Equal(t, 7, b.Func())
	assert.Same(t, a.Err, b.Err)
	assert.Same(t, a.hidden, b.hidden)
	assert.Same(t, a.deep["k"], b.deep["k"])

	assert.NotSame(t, a.When, b.When)
	assert.True(t, a.When.Equal(*b.When))
	assert.Same(t, a.When.Location(), b.When.Location())
	assert.NotSame(t, a.Deep["k"], b.Deep["k"], "what is exported is copied, whatever hidden field has it too")
	b.deep["l"] = nil
	assert.NotContains(t, a.deep, "l")
}

type ownError struct{ Texts []string }

func (*ownError) Error() string { return "own" }

func TestCopy_NothingAndEmpty(t *testing.T) {
	assert.Nil(t, Copy(nil))
	assert.Equal(t, (*part)(nil), Copy((*part)(nil)))
	assert.Equal(t, 5, Copy(5))
	assert.Equal(t, "x", Copy("x"))
	assert.Equal(t, part{}, Copy(part{}), "a nil stays one")
	assert.Equal(t, part{Numbers: []int{}, Labels: map[string]int{}}, Copy(part{Numbers: []int{}, Labels: map[string]int{}}))
	assert.Equal(t, []error{nil, errors.ErrUnsupported}, Copy([]error{nil, errors.ErrUnsupported}))
	type named *part
	assert.Equal(t, named(&part{}), Copy(named(&part{})))
}
