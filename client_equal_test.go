package diamond_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// describe publishes the value that key has with another type and other metadata.
func (c *centre) describe(key conf.Key, typ string, meta map[string]string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	content := c.entries[key].Content
	c.step(map[conf.Key]*string{key: &content})
	e := c.entries[key]
	e.Type, e.Meta = typ, meta
	c.entries[key] = e
	return c.at.Revision
}

func TestEqualValuesCallNoListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "one")
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		var r, wrapped recorder
		subscribe(t, client, keyA, &r)
		subscribe(t, client, keyA, &wrapped)
		settle()

		again := c.set(keyA, "one")
		settle()
		assert.Len(t, r.contents(), 1)
		assert.Len(t, wrapped.contents(), 1)
		assert.Equal(t, again, get(t, client, keyA).Revision, "the revision is taken over")
		assert.Equal(t, []conf.Report{{Key: keyA, Revision: 1, Applied: true}, {Key: keyA, Revision: again, Applied: true}}, c.reported())
		good, _ := local.snapshot(conf.SlotLastGood, keyA)
		assert.Equal(t, again, good.Entry.Revision)

		// The content alone does not make values equal.
		c.describe(keyA, "yaml", nil)
		settle()
		c.describe(keyA, "yaml", map[string]string{"owner": "us"})
		settle()
		assert.Len(t, r.contents(), 3)
		c.describe(keyA, "yaml", map[string]string{"owner": "us"})
		settle()
		assert.Len(t, r.contents(), 3)
	})
}

// Why a value was rejected may lie elsewhere, and be mended: publishing it again
// has it tried again.
func TestARejectedValueIsTriedAgainWhenItIsPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "good")
		client := newClient(t, c)
		var mended atomic.Bool
		var r recorder
		r.verdict = func(c conf.Config) error {
			if c.Content == "bad" && !mended.Load() {
				return errors.New("refused")
			}
			return nil
		}
		sub := subscribe(t, client, keyA, &r)
		settle()
		c.set(keyA, "bad")
		settle()
		again := c.set(keyA, "bad")
		settle()
		assert.Equal(t, []string{"good", "bad", "bad"}, r.contents())
		assert.Equal(t, again, client.Status(keyA)[0].Rejected)
		require.Len(t, c.reported(), 3)
		assert.Equal(t, conf.Report{Key: keyA, Revision: again, Reason: "error"}, c.reported()[2])
		time.Sleep(time.Hour)
		assert.Len(t, r.contents(), 3, "nothing was published")

		mended.Store(true)
		applied := c.set(keyA, "bad")
		settle()
		assert.Len(t, r.contents(), 4)
		require.NoError(t, sub.Wait(t.Context()))
		assert.Zero(t, client.Status(keyA)[0].Rejected)
		assert.Equal(t, conf.Report{Key: keyA, Revision: applied, Applied: true}, c.reported()[len(c.reported())-1])
		c.set(keyA, "bad")
		settle()
		assert.Len(t, r.contents(), 4, "it has been applied by now")
	})
}

func TestBind_ARejectedValueIsTriedAgainWhenItIsPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1}`)
		client := newClient(t, c)
		var broken atomic.Bool
		v, err := diamond.Bind[limits](t.Context(), client, keyA, diamond.WithValidator(func(any) error {
			if broken.Load() {
				return errors.New("a file is missing")
			}
			return nil
		}))
		require.NoError(t, err)
		broken.Store(true)
		c.set(keyA, `{"rate": 2}`)
		settle()
		require.Error(t, v.Err())
		broken.Store(false)
		c.set(keyA, `{"rate": 2}`)
		settle()
		require.NoError(t, v.Err())
		assert.Equal(t, 2, v.Get().Rate)
	})
}

// An equal value that came while a call ran is as good as applied where the call
// was; where it was rejected, there is another call. Nothing is said before.
func TestEqualValuesDuringACall(t *testing.T) {
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		verdict error
		between []string // published before the equal one
	}{
		"applied":                      {nil, nil},
		"rejected":                     {refused, nil},
		"applied, with one in between": {nil, []string{"two"}},
		"rejected, the same":           {refused, []string{"two"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCentre()
				c.set(keyA, "one")
				client := newClient(t, c)
				release := make(chan struct{})
				r := recorder{verdict: func(conf.Config) error { <-release; return test.verdict }}
				subscribe(t, client, keyA, &r)
				settle()
				for _, content := range test.between {
					c.set(keyA, content)
					settle()
				}
				last := c.set(keyA, "one")
				settle()
				assert.Empty(t, c.reported())
				close(release)
				settle()
				require.Len(t, c.reported(), 1)
				assert.Equal(t, last, c.reported()[0].Revision)
				assert.Equal(t, test.verdict == nil, c.reported()[0].Applied)
				if test.verdict == nil {
					assert.Equal(t, []string{"one"}, r.contents(), "the latest is what it was told")
				} else {
					assert.Equal(t, []string{"one", "one"}, r.contents())
					assert.Equal(t, last, client.Status(keyA)[0].Rejected)
				}
			})
		})
	}
}

// A value that one listener refused says nothing of the newer one that it is
// being called with.
func TestNothingIsReportedOfAListenerThatIsBeingCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "bad")
		client := newClient(t, c)
		release := make(chan struct{})
		slow := recorder{verdict: func(c conf.Config) error {
			if c.Content == "bad" {
				return errors.New("refused")
			}
			<-release
			return nil
		}}
		subscribe(t, client, keyA, &slow)
		settle()
		good := c.set(keyA, "good")
		settle()
		subscribe(t, client, keyA, &recorder{})
		settle() // this one has applied it
		assert.NotContains(t, c.reported(), conf.Report{Key: keyA, Revision: good, Reason: "error"})
		close(release)
		settle()
		assert.Contains(t, c.reported(), conf.Report{Key: keyA, Revision: good, Applied: true})
	})
}

func TestBind_EqualValuesChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1}`)
		client := newClient(t, c)
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		calls := 0
		v.OnChange(func(_, _ *limits) { calls++ })
		settle()
		before := v.Get()
		again := c.set(keyA, `{"rate": 1}`)
		settle()
		assert.Equal(t, 1, calls)
		assert.Same(t, before, v.Get())
		assert.Equal(t, again, v.Config().Revision)
		v.Close()
		c.set(keyA, `{"rate": 1}`)
		settle()
		assert.Equal(t, again, v.Config().Revision, "it stays as it was when closed")
	})
}

// What came while a value was made is what it counts as made of, where it is equal.
func TestBind_AnEqualValueThatComesWhileOneIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1}`)
		client := newClient(t, c)
		v, err := diamond.Bind[limits](t.Context(), client, keyA, diamond.WithValidator(func(any) error {
			time.Sleep(time.Second)
			return nil
		}))
		require.NoError(t, err)
		c.set(keyA, `{"rate": 2}`)
		settle()
		again := c.set(keyA, `{"rate": 2}`)
		time.Sleep(2 * time.Second)
		assert.Equal(t, 2, v.Get().Rate)
		assert.Equal(t, again, v.Config().Revision)
	})
}

// What a value was made of says what is known of it now: a snapshot that a
// server has confirmed is the server's.
func TestBind_ConfigSaysWhatIsKnownNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1}`)
		local := newFiles()
		local.snapshots[conf.SlotFetched][keyA] = snapshotOf(c, keyA)
		c.fail(errDown)
		client := newClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		assert.Equal(t, conf.SourceSnapshot, v.Config().Source)
		assert.Zero(t, v.Config().Confirmed)
		c.fail(nil)
		time.Sleep(time.Minute)
		assert.Equal(t, conf.SourceServer, v.Config().Source)
		first := v.Config().Confirmed
		assert.NotZero(t, first)
		time.Sleep(time.Minute)
		last := v.Config().Confirmed
		assert.True(t, last.After(first), "each answer to a poll confirms it")

		v.Close()
		time.Sleep(time.Minute)
		assert.Equal(t, last, v.Config().Confirmed, "nothing does after Close")
		assert.Equal(t, conf.SourceServer, v.Config().Source)
	})
}
