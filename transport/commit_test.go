package transport_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport"
)

func TestBalance_CommitRetries(t *testing.T) {
	type outcome struct {
		fault     error
		requestID string
		want      error
		asked     int
	}
	for name, o := range map[string]outcome{
		"certainly not done":       {conf.ErrUnavailable, "", nil, 2},
		"shed":                     {conf.ErrOverloaded, "", nil, 2},
		"unknown":                  {conf.ErrUnknownOutcome, "", conf.ErrUnknownOutcome, 1},
		"unknown, with request id": {conf.ErrUnknownOutcome, "r1", nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, "a", "b")
				b := c.balance(transport.Static("a", "b"))
				since := map[string]int{}
				require.NoError(t, get(b))
				c.faulty[c.asked(since)[0]].Fail(conf.Errorf(o.fault, "on command"))
				_, err := put(b, o.requestID)
				assert.ErrorIs(t, err, o.want)
				assert.Len(t, c.asked(since), o.asked)
			})
		})
	}
}

// An outcome that is unknown stays so, whatever other servers fail with.
func TestBalance_UnknownStaysUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		was := c.current(b)
		for addr, f := range c.faulty {
			if addr == was {
				f.DropAnswers()
			} else {
				f.Fail(conf.Errorf(conf.ErrUnavailable, "down"))
			}
		}
		_, err := put(b, "r1")
		require.ErrorIs(t, err, conf.ErrUnknownOutcome)
		for _, f := range c.faulty {
			f.Heal()
		}
		res, err := put(b, "r1")
		require.NoError(t, err)
		assert.True(t, res.Replayed, "it was done, once")
		assert.EqualValues(t, 1, res.Position.Revision)
	})
}

// A silent server has half of the time of a commit that may be repeated.
func TestBalance_ACommitGoesOnFromAMuteServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		c.faulty[c.current(b)].Partition()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		started := time.Now()
		_, err := b.Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{
			RequestID: "r1", Drafts: []conf.Draft{{Key: conf.NewKey("", "k"), Content: "x"}},
		}})
		require.NoError(t, err)
		assert.Equal(t, 2*time.Second, time.Since(started))
	})
}

// A server that was silent until its caller's time was over is not asked first again.
func TestBalance_AWriteThatHadNoAnswerIsHeldAgainstItsServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		c.faulty[c.current(b)].Partition()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: conf.NewKey("", "k"), Content: "x"}}}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		started := time.Now()
		_, err = put(b, "")
		require.NoError(t, err)
		assert.Zero(t, time.Since(started))
	})
}

// The end of the caller's time does not settle an outcome that is unknown.
func TestBalance_UnknownStaysUnknownWhenTheTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		was := c.current(b)
		for addr, f := range c.faulty {
			if addr == was {
				f.DropAnswers()
			} else {
				f.Partition()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := b.Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{
			RequestID: "r1", Drafts: []conf.Draft{{Key: conf.NewKey("", "k"), Content: "x"}},
		}})
		require.ErrorIs(t, err, conf.ErrUnknownOutcome)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// No server is asked twice where nothing was done.
func TestBalance_ACommitThatWasNotDoneGoesToEachServerOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		b := c.balance(transport.Static("a", "b"))
		for _, f := range c.faulty {
			f.Fail(conf.Errorf(conf.ErrUnavailable, "down"))
		}
		_, err := put(b, "r1")
		require.ErrorIs(t, err, conf.ErrUnavailable)
		for addr, f := range c.faulty {
			made, _ := f.Calls()
			assert.Equal(t, 1, made, addr)
		}
	})
}

// A storage that is down fails every write. Reading goes on where it was.
func TestBalance_ReadsSurviveWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, "a", "b")
		down := &conf.Error{Err: conf.ErrUnavailable, Detail: "storage", RetryAfter: time.Minute, Remote: true}
		b := transport.NewBalancer(transport.Static("a", "b"), func(addr string) (diamond.Transport, error) {
			return readOnly{c.faulty[addr], down}, nil
		})
		defer b.Close()
		since := map[string]int{}
		require.NoError(t, get(b))
		was := c.asked(since)
		for range 3 {
			_, err := put(b, "r")
			require.ErrorIs(t, err, conf.ErrUnavailable)
			require.NoError(t, get(b))
		}
		assert.Equal(t, was, c.asked(since), "and nobody moved")
	})
}

type readOnly struct {
	diamond.Transport
	err error
}

func (r readOnly) Commit(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) {
	return nil, r.err
}
