package diamond_test

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func TestOnError_EachErrorOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		var told clienttest.Errors
		v.OnError(told.Add)
		check := func(name string, want error) {
			t.Helper()
			clienttest.Settle()
			errs := told.Take()
			require.ErrorIs(t, v.Err(), want, name)
			if want == nil {
				assert.Empty(t, errs, name)
				return
			}
			require.Len(t, errs, 1, name)
			assert.Equal(t, v.Err(), errs[0], name)
		}
		check("well", nil)
		for range 2 { // what is over and begins again is told again
			c.Set(clienttest.KeyA, `{"rate": 0}`)
			check("rejected", clienttest.ErrRate)
			c.Set(clienttest.KeyA, `{"rate": 0}`)
			check("published again", clienttest.ErrRate)
			c.Set(clienttest.KeyA, `{"rate": 2}`)
			check("applied", nil)
			c.Remove(clienttest.KeyA)
			check("deleted", diamond.ErrNotFound)
			c.Set(clienttest.KeyA, `{"rate": 2}`)
			check("there again", nil)
			c.Deny(clienttest.KeyA, true)
			check("refused", diamond.ErrDenied)
			time.Sleep(10 * time.Minute)
			assert.Empty(t, told.Take(), "the refusal is tried again, and is the same")
			c.Deny(clienttest.KeyA, false)
			time.Sleep(2 * time.Minute)
			check("allowed", nil)
		}
		c.Fail(clienttest.ErrDown)
		time.Sleep(time.Hour)
		check("an outage is an error of the client, and of no key", nil)
	})
}

func TestOnError_WhatBeganBeforeIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithDefault(clienttest.Limits{Rate: 9}))
		require.NoError(t, err)
		var first, second, late clienttest.Errors
		v.OnError(first.Add)
		synctest.Wait()
		v.OnError(second.Add)
		synctest.Wait()
		for _, told := range []*clienttest.Errors{&first, &second} {
			errs := told.Take()
			require.Len(t, errs, 1, "the default is in use")
			require.ErrorIs(t, errs[0], diamond.ErrNotFound)
		}
		clienttest.Settle()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		clienttest.Settle()
		v.OnError(late.Add)
		clienttest.Settle()
		assert.Empty(t, late.Take(), "an error that is over is not told")
		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		assert.Len(t, late.Take(), 1, "the default is in use again")
		assert.Len(t, first.Take(), 1)
	})
}

// The default has another reason once a server has said that there is no value. An outage
// after that changes nothing: it is known that there is none.
func TestErr_OfADefaultIsTheNewestReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Fail(clienttest.ErrDown)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithDefault(clienttest.Limits{Rate: 9}))
		require.NoError(t, err)
		require.ErrorIs(t, v.Err(), diamond.ErrUnavailable)
		var early, late clienttest.Errors
		v.OnError(early.Add)
		time.Sleep(time.Minute)
		require.ErrorIs(t, v.Err(), diamond.ErrUnavailable)
		for _, down := range []error{nil, clienttest.ErrDown} {
			c.Fail(down)
			time.Sleep(time.Minute)
			require.ErrorIs(t, v.Err(), diamond.ErrNotFound)
		}
		v.OnError(late.Add)
		synctest.Wait()
		errs := append(early.Take(), late.Take()...)
		require.Len(t, errs, 2, "that the servers are back is no new error")
		require.ErrorIs(t, errs[0], diamond.ErrUnavailable)
		require.ErrorIs(t, errs[1], diamond.ErrNotFound)

		c.Fail(nil)
		time.Sleep(time.Minute)
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		clienttest.Settle()
		require.NoError(t, v.Err())
		c.Remove(clienttest.KeyA)
		clienttest.Settle()
		require.ErrorContains(t, v.Err(), "deleted")
	})
}

// Servers that come back may refuse a key of which nothing was known.
func TestErr_OfADefaultIsARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Fail(clienttest.ErrDown)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithDefault(clienttest.Limits{Rate: 9}))
		require.NoError(t, err)
		require.ErrorIs(t, v.Err(), diamond.ErrUnavailable)
		c.Deny(clienttest.KeyA, true)
		c.Fail(nil)
		time.Sleep(5 * time.Minute)
		require.ErrorIs(t, v.Err(), diamond.ErrDenied)
		c.Deny(clienttest.KeyA, false)
		time.Sleep(5 * time.Minute)
		require.ErrorIs(t, v.Err(), diamond.ErrNotFound)
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		clienttest.Settle()
		require.NoError(t, v.Err())
	})
}

// An outage at the start is told, where files are used too, and is over when a server
// confirms the snapshot, although nothing changes for the program.
func TestOnError_ASnapshotInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		_, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		clienttest.Settle()
		time.Sleep(time.Second)

		c.Fail(clienttest.ErrDown)
		again := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[clienttest.Limits](t.Context(), again, clienttest.KeyA)
		require.NoError(t, err, "the snapshot is in force")
		var told clienttest.Errors
		v.OnError(told.Add)
		changes := 0
		v.OnChange(func(_, _ *clienttest.Limits) { changes++ })
		time.Sleep(time.Minute)
		errs := told.Take()
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], diamond.ErrUnavailable)
		require.ErrorContains(t, v.Err(), "the last snapshot is in use")
		assert.Equal(t, errs[0], v.Err())

		c.Fail(nil)
		time.Sleep(time.Minute)
		require.NoError(t, v.Err())
		assert.Equal(t, diamond.SourceServer, v.Config().Source)
		assert.Empty(t, told.Take())
		assert.Equal(t, 1, changes)

		c.Fail(clienttest.ErrDown) // an outage later is told by the client
		time.Sleep(time.Hour)
		require.NoError(t, v.Err())
		c.Fail(nil)
		time.Sleep(time.Minute)
		c.Set(clienttest.KeyA, `{"rate": 0}`)
		clienttest.Settle()
		require.Len(t, told.Take(), 1)
	})
}

// A server that comes later can have a better reason than the snapshot's.
func TestOnError_ASnapshotThatTheServerThenRefusesOrRejects(t *testing.T) {
	for name, then := range map[string]struct {
		happens func(*clienttest.Centre)
		want    error
	}{
		"refused":  {func(c *clienttest.Centre) { c.Deny(clienttest.KeyA, true) }, diamond.ErrDenied},
		"rejected": {func(c *clienttest.Centre) { c.Set(clienttest.KeyA, `{"rate": 0}`) }, clienttest.ErrRate},
		"deleted":  {func(c *clienttest.Centre) { c.Remove(clienttest.KeyA) }, diamond.ErrNotFound},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := clienttest.NewCentre()
			c.Set(clienttest.KeyA, `{"rate": 1}`)
			local := clienttest.NewFiles()
			client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
			_, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
			require.NoError(t, err)
			clienttest.Settle()
			time.Sleep(time.Second)
			c.Fail(clienttest.ErrDown)
			again := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
			v, err := diamond.Bind[clienttest.Limits](t.Context(), again, clienttest.KeyA)
			require.NoError(t, err)
			var told clienttest.Errors
			v.OnError(told.Add)
			synctest.Wait()
			then.happens(c)
			c.Fail(nil)
			time.Sleep(2 * time.Minute)
			errs := told.Take()
			require.Len(t, errs, 2, name)
			require.ErrorIs(t, errs[0], diamond.ErrUnavailable, name)
			require.ErrorIs(t, errs[1], then.want, name)
			require.ErrorIs(t, v.Err(), then.want, name)
			assert.Equal(t, 1, v.Get().Rate, name)
		})
	}
}

// The snapshot in place of a rejected value has one reason: that of the rejection.
func TestOnError_ASnapshotInPlaceOfARejectedValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 5}`)
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		_, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		clienttest.Settle()
		time.Sleep(time.Second)
		c.Set(clienttest.KeyA, `{"rate": 0}`)
		clienttest.Settle()
		again := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[clienttest.Limits](t.Context(), again, clienttest.KeyA)
		require.NoError(t, err)
		var told clienttest.Errors
		v.OnError(told.Add)
		clienttest.Settle()
		assert.Equal(t, diamond.SourceSnapshot, v.Config().Source)
		errs := told.Take()
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], clienttest.ErrRate)
		require.ErrorIs(t, v.Err(), clienttest.ErrRate)
	})
}

func TestOnError_ASlowCallbackMissesWhatIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithValidator(func(v any) error {
			if burst := v.(*clienttest.Limits).Burst; burst >= 100 {
				return errors.New(strconv.Itoa(burst))
			}
			return nil
		}))
		require.NoError(t, err)
		clienttest.Settle()
		release := make(chan struct{})
		var slow, fast clienttest.Errors
		v.OnError(func(err error) { slow.Add(err); <-release })
		v.OnError(fast.Add)
		reject := func(n int) {
			c.Set(clienttest.KeyA, fmt.Sprintf(`{"rate": 1, "burst": %d}`, n))
			clienttest.Settle()
		}
		for n := range 1000 {
			reject(100 + n)
		}
		assert.Len(t, fast.Take(), 1000, "it delays nobody else")
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		clienttest.Settle()
		require.NoError(t, v.Err())
		close(release)
		clienttest.Settle()
		errs := slow.Take()
		require.Len(t, errs, 2)
		require.ErrorContains(t, errs[0], "100")
		require.ErrorContains(t, errs[1], "1099", "the newest, although it is over")
	})
}

func TestOnError_PanicStopAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		var log clienttest.Logs
		client, err := diamond.NewClient(c, diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		require.NoError(t, err)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		reject := func() { c.Set(clienttest.KeyA, `{"rate": 0}`); clienttest.Settle() }

		panics := 0
		v.OnError(func(error) { panics++; panic("CANARY") })
		within, withinCalls := make(chan func(), 1), 0
		within <- v.OnError(func(error) { withinCalls++; (<-within)() })
		var stopped clienttest.Errors
		stop := v.OnError(stopped.Add)
		stop()
		stop()
		reject()
		reject()
		assert.Equal(t, 2, panics)
		assert.Contains(t, log.String(), "a callback panicked")
		assert.NotContains(t, log.String(), "CANARY")
		assert.Equal(t, 1, withinCalls)
		assert.Empty(t, stopped.Take())

		returned := false
		slow := v.OnError(func(error) { time.Sleep(time.Second); returned = true })
		synctest.Wait()
		slow()
		assert.True(t, returned, "stop waits for the call under way")
		returned = false
		v.OnError(func(error) { time.Sleep(time.Second); returned = true })
		synctest.Wait()
		require.NoError(t, client.Close())
		assert.True(t, returned, "Close of the client waits for the call under way")
		v.OnError(func(error) { t.Error("called after the client was closed") })
		clienttest.Settle()
		v.Close()
		v.OnError(func(error) { t.Error("called after Close") })()
		clienttest.Settle()

		client = clienttest.NewClient(t, c)
		v, err = diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithDefault(clienttest.Limits{Rate: 1}))
		require.NoError(t, err)
		returned = false
		v.OnError(func(error) { time.Sleep(time.Second); returned = true })
		synctest.Wait()
		v.Close()
		assert.True(t, returned, "Close waits for the call under way")
		require.Error(t, v.Err(), "it stays as it was when closed")
	})
}

// The client remembers callbacks under way, and no others: it would keep each Value that
// ever had one for as long as it lives.
func TestOnChange_AClosedValueIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		client := clienttest.NewClient(t, c)
		released := func() weak.Pointer[clienttest.Limits] {
			c.Set(clienttest.KeyA, `{"rate": 1}`)
			clienttest.Settle()
			v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
			require.NoError(t, err)
			calls := 0
			v.OnChange(func(_, _ *clienttest.Limits) { calls++ })
			clienttest.Settle()
			c.Set(clienttest.KeyA, `{"rate": 0}`)
			v.OnError(func(error) { calls++ })
			clienttest.Settle()
			require.Equal(t, 2, calls)
			v.Close()
			return weak.Make(v.Get())
		}
		// A client that remembers callbacks keeps each of these. One may stay for another
		// reason, such as a stopped timer that the runtime has not removed yet.
		var values []weak.Pointer[clienttest.Limits]
		for range 5 {
			values = append(values, released())
		}
		clienttest.Settle()
		for range 3 {
			runtime.GC()
		}
		assert.True(t, slices.ContainsFunc(values, func(v weak.Pointer[clienttest.Limits]) bool { return v.Value() == nil }),
			"the client still refers to the values")
	})
}
