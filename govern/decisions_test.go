package govern

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/conf"
)

func setNamed(n int) conf.KeySetHash {
	return conf.HashKeys([]conf.Key{conf.NewKey("", fmt.Sprint(n))})
}

// A decision is one of a principal and of its rights: neither another principal's, nor one of
// before the rights changed, is found.
func TestDecisions_AreOfOnePrincipalAndItsRights(t *testing.T) {
	d := newDecisions()
	before := make(chan struct{})
	yes := &setDecision{}
	d.keep("a", before, setNamed(1), yes)
	assert.Same(t, yes, d.find("a", before, setNamed(1)))
	assert.Nil(t, d.find("b", before, setNamed(1)), "another principal")
	assert.Nil(t, d.find("a", before, setNamed(2)), "another set")
	close(before)
	after := make(chan struct{})
	assert.Nil(t, d.find("a", after, setNamed(1)), "other rights")
	d.keep("a", after, setNamed(2), yes)
	assert.Nil(t, d.find("a", after, setNamed(1)))
	assert.Same(t, yes, d.find("a", after, setNamed(2)))

	d.keep("a", before, setNamed(3), yes)
	assert.Nil(t, d.find("a", after, setNamed(3)), "made under rights that had changed by then")
	assert.Same(t, yes, d.find("a", after, setNamed(2)), "and the present ones are not lost")
	assert.Equal(t, 3, d.made())
}

// What nobody uses for ten minutes is dropped, and what is used is not.
func TestDecisions_AreDroppedUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDecisions()
		void := make(chan struct{})
		d.keep("a", void, setNamed(1), &setDecision{})
		d.keep("a", void, setNamed(2), &setDecision{})
		d.keep("gone", void, setNamed(1), &setDecision{})
		for range 11 {
			time.Sleep(time.Minute)
			assert.NotNil(t, d.find("a", void, setNamed(1)))
		}
		assert.Len(t, d.of, 1)
		assert.Len(t, d.of["a"].sets, 1)
		assert.Equal(t, 1, d.of["a"].weight)
		revoked := make(chan struct{})
		d.keep("b", revoked, setNamed(1), &setDecision{})
		close(revoked)
		time.Sleep(time.Minute)
		d.find("a", void, setNamed(1))
		assert.Len(t, d.of, 1, "of rights that changed nothing is kept")
	})
}

// What is kept of one principal is bounded, and no principal loses anything to another.
func TestDecisions_AreBoundedPerPrincipal(t *testing.T) {
	d := newDecisions()
	void := make(chan struct{})
	d.keep("quiet", void, setNamed(0), &setDecision{})
	denied := make([]conf.Key, maxDecided/4)
	for i := range 10 {
		d.keep("greedy", void, setNamed(i), &setDecision{denied: denied})
		d.keep("greedy", void, setNamed(i), &setDecision{denied: denied}) // again
	}
	assert.LessOrEqual(t, d.of["greedy"].weight, maxDecided)
	assert.Len(t, d.of["greedy"].sets, 3)
	assert.NotNil(t, d.find("greedy", void, setNamed(9)))
	assert.Nil(t, d.find("greedy", void, setNamed(6)))
	assert.NotNil(t, d.find("quiet", void, setNamed(0)))
	d.keep("greedy", void, setNamed(77), &setDecision{denied: make([]conf.Key, maxDecided)})
	assert.NotNil(t, d.find("greedy", void, setNamed(9)), "one that is too large drops no other")
}
