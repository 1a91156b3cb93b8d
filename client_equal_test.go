package diamond_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

// describe publishes the value that key has with another type and other metadata.
func (c *centre) describe(key diamond.Key, typ string, meta map[string]string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	content := c.entries[key].Content
	c.step(map[diamond.Key]*string{key: &content})
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
		assert.Equal(t, []diamond.Report{{Key: keyA, Revision: 1, Applied: true}, {Key: keyA, Revision: again, Applied: true}}, c.reported())
		good, _ := local.snapshot(diamond.SlotLastGood, keyA)
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

func TestEqualValuesOfARejectedOneAreRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "good")
		client := newClient(t, c)
		r := recorder{verdict: func(c diamond.Config) error {
			if c.Content == "bad" {
				return errors.New("refused")
			}
			return nil
		}}
		subscribe(t, client, keyA, &r)
		settle()
		c.set(keyA, "bad")
		settle()
		again := c.set(keyA, "bad")
		settle()
		assert.Equal(t, []string{"good", "bad"}, r.contents())
		assert.Equal(t, again, client.Status(keyA)[0].Rejected)
		require.Len(t, c.reported(), 3)
		assert.Equal(t, diamond.Report{Key: keyA, Revision: again, Reason: "error"}, c.reported()[2])
	})
}

// What came of a call holds for an equal value that came while it ran, and
// nothing is said of it before.
func TestEqualValuesDuringACall(t *testing.T) {
	for name, verdict := range map[string]error{"applied": nil, "rejected": errors.New("refused")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCentre()
				c.set(keyA, "one")
				client := newClient(t, c)
				release := make(chan struct{})
				r := recorder{verdict: func(diamond.Config) error { <-release; return verdict }}
				subscribe(t, client, keyA, &r)
				settle()
				c.set(keyA, "two")
				settle()
				last := c.set(keyA, "one")
				settle()
				assert.Empty(t, c.reported())
				close(release)
				settle()
				assert.Equal(t, []string{"one"}, r.contents(), "the latest is what it was told")
				require.Len(t, c.reported(), 1)
				assert.Equal(t, last, c.reported()[0].Revision)
				assert.Equal(t, verdict == nil, c.reported()[0].Applied)
				if verdict != nil {
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
		slow := recorder{verdict: func(c diamond.Config) error {
			if c.Content == "bad" {
				return errors.New("refused")
			}
			<-release
			return nil
		}}
		subscribe(t, client, keyA, &slow)
		subscribe(t, client, keyA, &recorder{})
		settle()
		good := c.set(keyA, "good")
		settle() // the other one has applied it
		assert.NotContains(t, c.reported(), diamond.Report{Key: keyA, Revision: good, Reason: "error"})
		close(release)
		settle()
		assert.Contains(t, c.reported(), diamond.Report{Key: keyA, Revision: good, Applied: true})
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

// What a value was made of says what is known of it now: a snapshot that a
// server has confirmed is the server's.
func TestBind_ConfigSaysWhatIsKnownNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"rate": 1}`)
		local := newFiles()
		local.snapshots[diamond.SlotFetched][keyA] = snapshotOf(c, keyA)
		c.fail(errDown)
		client := newClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[limits](t.Context(), client, keyA)
		require.NoError(t, err)
		assert.Equal(t, diamond.SourceSnapshot, v.Config().Source)
		assert.Zero(t, v.Config().Confirmed)
		c.fail(nil)
		time.Sleep(time.Minute)
		assert.Equal(t, diamond.SourceServer, v.Config().Source)
		first := v.Config().Confirmed
		assert.NotZero(t, first)
		time.Sleep(time.Minute)
		last := v.Config().Confirmed
		assert.True(t, last.After(first), "each answer to a poll confirms it")

		v.Close()
		time.Sleep(time.Minute)
		assert.Equal(t, last, v.Config().Confirmed, "nothing does after Close")
		assert.Equal(t, diamond.SourceServer, v.Config().Source)
	})
}
