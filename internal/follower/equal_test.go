package follower_test

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
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func TestEqualValuesCallNoListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "one")
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var r, wrapped clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Subscribe(t, client, clienttest.KeyA, &wrapped)
		clienttest.Settle()

		again := c.Set(clienttest.KeyA, "one")
		clienttest.Settle()
		assert.Len(t, r.Contents(), 1)
		assert.Len(t, wrapped.Contents(), 1)
		assert.Equal(t, again, clienttest.Get(t, client, clienttest.KeyA).Revision, "the revision is taken over")
		assert.Equal(t, []conf.Report{{Key: clienttest.KeyA, Revision: 1, Applied: true}, {Key: clienttest.KeyA, Revision: again, Applied: true}}, c.Reported())
		good, _ := local.Snapshot(conf.SlotLastGood, clienttest.KeyA)
		assert.Equal(t, again, good.Entry.Revision)

		// The content alone does not make values equal.
		c.Describe(clienttest.KeyA, "yaml", nil)
		clienttest.Settle()
		c.Describe(clienttest.KeyA, "yaml", map[string]string{"owner": "us"})
		clienttest.Settle()
		assert.Len(t, r.Contents(), 3)
		c.Describe(clienttest.KeyA, "yaml", map[string]string{"owner": "us"})
		clienttest.Settle()
		assert.Len(t, r.Contents(), 3)
	})
}

// The reason for a rejection may lie elsewhere and be gone. So publishing the same value
// again repeats the attempt.
func TestARejectedValueIsTriedAgainWhenItIsPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "good")
		client := clienttest.NewClient(t, c)
		var mended atomic.Bool
		var r clienttest.Recorder
		r.Verdict = func(c conf.Config) error {
			if c.Content == "bad" && !mended.Load() {
				return errors.New("refused")
			}
			return nil
		}
		sub := clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		clienttest.Settle()
		c.Set(clienttest.KeyA, "bad")
		clienttest.Settle()
		again := c.Set(clienttest.KeyA, "bad")
		clienttest.Settle()
		assert.Equal(t, []string{"good", "bad", "bad"}, r.Contents())
		assert.Equal(t, again, client.Status(clienttest.KeyA)[0].Rejected)
		require.Len(t, c.Reported(), 3)
		assert.Equal(t, conf.Report{Key: clienttest.KeyA, Revision: again, Reason: "error"}, c.Reported()[2])
		time.Sleep(time.Hour)
		assert.Len(t, r.Contents(), 3, "nothing was published")

		mended.Store(true)
		applied := c.Set(clienttest.KeyA, "bad")
		clienttest.Settle()
		assert.Len(t, r.Contents(), 4)
		require.NoError(t, sub.Wait(t.Context()))
		assert.Zero(t, client.Status(clienttest.KeyA)[0].Rejected)
		assert.Equal(t, conf.Report{Key: clienttest.KeyA, Revision: applied, Applied: true}, c.Reported()[len(c.Reported())-1])
		c.Set(clienttest.KeyA, "bad")
		clienttest.Settle()
		assert.Len(t, r.Contents(), 4, "it has been applied by now")
	})
}

func TestBind_ARejectedValueIsTriedAgainWhenItIsPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client := clienttest.NewClient(t, c)
		var broken atomic.Bool
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithValidator(func(any) error {
			if broken.Load() {
				return errors.New("a file is missing")
			}
			return nil
		}))
		require.NoError(t, err)
		broken.Store(true)
		c.Set(clienttest.KeyA, `{"rate": 2}`)
		clienttest.Settle()
		require.Error(t, v.Err())
		broken.Store(false)
		c.Set(clienttest.KeyA, `{"rate": 2}`)
		clienttest.Settle()
		require.NoError(t, v.Err())
		assert.Equal(t, 2, v.Get().Rate)
	})
}

// An equal value that arrives during a call counts as applied if the call applies its
// value, and causes another call if the call rejects it. Nothing is reported before.
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
				c := clienttest.NewCentre()
				c.Set(clienttest.KeyA, "one")
				client := clienttest.NewClient(t, c)
				release := make(chan struct{})
				r := clienttest.Recorder{Verdict: func(conf.Config) error { <-release; return test.verdict }}
				clienttest.Subscribe(t, client, clienttest.KeyA, &r)
				clienttest.Settle()
				for _, content := range test.between {
					c.Set(clienttest.KeyA, content)
					clienttest.Settle()
				}
				last := c.Set(clienttest.KeyA, "one")
				clienttest.Settle()
				assert.Empty(t, c.Reported())
				close(release)
				clienttest.Settle()
				require.Len(t, c.Reported(), 1)
				assert.Equal(t, last, c.Reported()[0].Revision)
				assert.Equal(t, test.verdict == nil, c.Reported()[0].Applied)
				if test.verdict == nil {
					assert.Equal(t, []string{"one"}, r.Contents(), "the latest is what it was told")
				} else {
					assert.Equal(t, []string{"one", "one"}, r.Contents())
					assert.Equal(t, last, client.Status(clienttest.KeyA)[0].Rejected)
				}
			})
		})
	}
}

// That a listener rejected a value says nothing about the newer one with which it is being
// called.
func TestNothingIsReportedOfAListenerThatIsBeingCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "bad")
		client := clienttest.NewClient(t, c)
		release := make(chan struct{})
		slow := clienttest.Recorder{Verdict: func(c conf.Config) error {
			if c.Content == "bad" {
				return errors.New("refused")
			}
			<-release
			return nil
		}}
		clienttest.Subscribe(t, client, clienttest.KeyA, &slow)
		clienttest.Settle()
		good := c.Set(clienttest.KeyA, "good")
		clienttest.Settle()
		clienttest.Subscribe(t, client, clienttest.KeyA, &clienttest.Recorder{})
		clienttest.Settle() // this one has applied it
		assert.NotContains(t, c.Reported(), conf.Report{Key: clienttest.KeyA, Revision: good, Reason: "error"})
		close(release)
		clienttest.Settle()
		assert.Contains(t, c.Reported(), conf.Report{Key: clienttest.KeyA, Revision: good, Applied: true})
	})
}

func TestBind_EqualValuesChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		calls := 0
		v.OnChange(func(_, _ *clienttest.Limits) { calls++ })
		clienttest.Settle()
		before := v.Get()
		again := c.Set(clienttest.KeyA, `{"rate": 1}`)
		clienttest.Settle()
		assert.Equal(t, 1, calls)
		assert.Same(t, before, v.Get())
		assert.Equal(t, again, v.Config().Revision)
		v.Close()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		clienttest.Settle()
		assert.Equal(t, again, v.Config().Revision, "it stays as it was when closed")
	})
}

// An equal value that arrives while a value is made counts as the one that it was made of.
func TestBind_AnEqualValueThatComesWhileOneIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		client := clienttest.NewClient(t, c)
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA, diamond.WithValidator(func(any) error {
			time.Sleep(time.Second)
			return nil
		}))
		require.NoError(t, err)
		c.Set(clienttest.KeyA, `{"rate": 2}`)
		clienttest.Settle()
		again := c.Set(clienttest.KeyA, `{"rate": 2}`)
		time.Sleep(2 * time.Second)
		assert.Equal(t, 2, v.Get().Rate)
		assert.Equal(t, again, v.Config().Revision)
	})
}

// Value.Config says what is known now: once a server has confirmed a snapshot, the source
// is the server.
func TestBind_ConfigSaysWhatIsKnownNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"rate": 1}`)
		local := clienttest.NewFiles()
		local.Snapshots[conf.SlotFetched][clienttest.KeyA] = clienttest.SnapshotOf(c, clienttest.KeyA)
		c.Fail(clienttest.ErrDown)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[clienttest.Limits](t.Context(), client, clienttest.KeyA)
		require.NoError(t, err)
		assert.Equal(t, conf.SourceSnapshot, v.Config().Source)
		assert.Zero(t, v.Config().Confirmed)
		c.Fail(nil)
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
