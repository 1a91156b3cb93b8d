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
		start := time.Now()
		for key := range 20 {
			_, err := Do(c, key, func() (int, error) { calls.Add(1); <-release; return 1, nil }, nil)
			require.ErrorIs(t, err, ErrHangs)
		}
		assert.EqualValues(t, 2, calls.Load())
		assert.Equal(t, 2*time.Second, time.Since(start), "for a place that none gives back nobody waits")
		close(release)
		synctest.Wait()
		for key := range 20 {
			_, err := Do(c, key, quick, nil)
			require.NoError(t, err, "places come back")
		}
	})
}

func TestDo_AKeyThatHangsTakesOnePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[string](time.Second, 3)
		release := make(chan struct{})
		var calls, hung, notMade atomic.Int32
		for range 20 { // all before the first is known to hang
			go func() {
				_, err := Do(c, "a", func() (int, error) { calls.Add(1); <-release; return 0, nil }, nil)
				if errors.Is(err, ErrNotMade) {
					notMade.Add(1)
				} else if errors.Is(err, ErrHangs) {
					hung.Add(1)
				}
			}()
		}
		synctest.Wait()
		start := time.Now()
		_, err := Do(c, "b", quick, nil)
		require.NoError(t, err)
		assert.Zero(t, time.Since(start))
		time.Sleep(time.Second)
		synctest.Wait()
		assert.EqualValues(t, 1, calls.Load())
		assert.EqualValues(t, 1, hung.Load())
		assert.EqualValues(t, 19, notMade.Load())
		close(release)
		synctest.Wait()
		_, err = Do(c, "a", quick, nil)
		require.NoError(t, err)
	})
}

func TestDo_CallsAboutOneKeyAreMadeOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[int](time.Second, 9)
		var underWay, made, failed atomic.Int32
		for range 5 { // the last does not come to its turn in time
			go func() {
				_, err := Do(c, 1, func() (int, error) {
					assert.EqualValues(t, 1, underWay.Add(1))
					time.Sleep(240 * time.Millisecond)
					underWay.Add(-1)
					made.Add(1)
					return 0, nil
				}, nil)
				if err != nil {
					failed.Add(1)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		assert.EqualValues(t, 5, made.Load(), "the last was made too, and given up")
		assert.EqualValues(t, 1, failed.Load())
	})
}

func TestDo_OneThatIsInTurnWithoutAPlaceIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[int](time.Second, 1)
		release := make(chan struct{})
		_, err := Do(c, 1, func() (int, error) { <-release; return 0, nil }, nil)
		require.ErrorIs(t, err, ErrHangs)
		_, err = Do(c, 2, quick, nil)
		require.ErrorIs(t, err, ErrNotMade, "there is no place")
		close(release)
		synctest.Wait()
		for key := range 3 {
			_, err = Do(c, key, quick, nil)
			require.NoError(t, err)
		}
	})
}
