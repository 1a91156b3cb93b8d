package hung

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func quick() (int, error) { return 7, nil }

func TestDo_ReturnsWhatTheCallReturns(t *testing.T) {
	c := New[string](time.Second, 1)
	failed := errors.New("failed")
	for range 3 {
		got, err := Do(c, "a", quick, nil)
		require.NoError(t, err)
		assert.Equal(t, 7, got)
		_, err = Do(c, "a", func() (int, error) { return 0, failed }, nil)
		require.ErrorIs(t, err, failed)
	}
}

func TestDo_ACallThatHangsHurtsOnlyItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](time.Second, 2)
		release := make(chan struct{})
		var calls, returned atomic.Int32
		hang := func() (int, error) { calls.Add(1); <-release; return 5, nil }
		late := func(got int, err error) {
			assert.NoError(t, err)
			returned.Add(int32(got))
		}

		start := time.Now()
		_, err := Do(c, "a", hang, late)
		require.ErrorIs(t, err, ErrHangs)
		require.NotErrorIs(t, err, ErrNotMade)
		assert.Equal(t, time.Second, time.Since(start))
		for range 10 {
			_, err = Do(c, "a", hang, late)
			require.ErrorIs(t, err, ErrNotMade)
		}
		assert.Equal(t, time.Second, time.Since(start), "it is not waited for again")
		assert.EqualValues(t, 1, calls.Load(), "one goroutine a key")
		_, err = Do(c, "b", quick, nil)
		require.NoError(t, err)

		close(release)
		synctest.Wait()
		assert.EqualValues(t, 5, returned.Load(), "what it returned comes late, once")
		_, err = Do(c, "a", quick, nil)
		require.NoError(t, err)
	})
}

func TestDo_CallsThatHangAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[int](time.Second, 2)
		release := make(chan struct{})
		var calls atomic.Int32
		for key := range 20 {
			_, err := Do(c, key, func() (int, error) { calls.Add(1); <-release; return 1, nil }, nil)
			require.ErrorIs(t, err, ErrHangs)
		}
		assert.EqualValues(t, 2, calls.Load())
		close(release)
		synctest.Wait()
		for key := range 20 {
			_, err := Do(c, key, quick, nil)
			require.NoError(t, err, "places come back")
		}
	})
}

func TestDo_SeveralThatHangOnOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[int](time.Second, 9)
		var returned atomic.Int32
		for i := range 3 {
			go Do(c, 1, func() (int, error) { <-time.After(time.Duration(i+2) * time.Second); return 0, nil },
				func(int, error) { returned.Add(1) })
		}
		time.Sleep(3*time.Second + time.Millisecond)
		_, err := Do(c, 1, quick, nil)
		require.ErrorIs(t, err, ErrNotMade, "one still does")
		assert.EqualValues(t, 2, returned.Load())
		time.Sleep(time.Second)
		assert.EqualValues(t, 3, returned.Load())
		_, err = Do(c, 1, quick, nil)
		require.NoError(t, err)
	})
}
