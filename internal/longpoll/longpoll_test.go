package longpoll

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWait_TwoCutsAlikeHalveIt(t *testing.T) {
	w := New()
	assert.InDelta(t, MaxWait, w.Next(), float64(MaxWait)/10)
	w.Cut(20 * time.Second)
	assert.InDelta(t, MaxWait, w.Next(), float64(MaxWait)/10, "one may be an accident")
	w.Cut(19 * time.Second)
	assert.Equal(t, MaxWait/2, w.Next())
	for range 10 {
		w.Cut(10 * time.Second)
	}
	assert.Equal(t, MinWait, w.Next())
}

func TestWait_CutsUnlikeEachOtherChangeNothing(t *testing.T) {
	w := New()
	for _, d := range []time.Duration{20 * time.Second, 10 * time.Second, time.Second, 10 * time.Second} {
		w.Cut(d)
	}
	assert.InDelta(t, MaxWait, w.Next(), float64(MaxWait)/10)
}

func TestWait_ProbesAndTakesBack(t *testing.T) {
	w := New()
	w.Cut(20 * time.Second)
	w.Cut(20 * time.Second)
	learned := w.Next()
	full := func(n int) {
		for range n {
			w.Full()
		}
	}
	full(patience - 1)
	assert.Equal(t, learned, w.Next())
	full(1)
	assert.Equal(t, time.Duration(float64(learned)*growth), w.Next())
	w.Cut(14 * time.Second)
	assert.Equal(t, learned, w.Next(), "a probe that was cut is taken back at once")
	full(2*patience - 1)
	assert.Equal(t, learned, w.Next(), "and the next one comes later")
	full(1)
	assert.Greater(t, w.Next(), learned)
}
