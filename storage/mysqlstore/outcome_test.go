package mysqlstore

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// S3: the connection breaks while the answer to COMMIT is on its way, or just
// before it was sent: the outcome is reported as unknown, never as a success or
// a failure, and the request id settles it.
func TestS3_ConnectionLostDuringCommit(t *testing.T) {
	dsn := mariadbtest.Database(t)
	direct := open(t, dsn)
	p, dsn := through(t, dsn)
	s := open(t, dsn)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	committed := int64(0)
	for i := range campaign.Scale(t, 30, 200) {
		kind := []fate{pass, lost, unheard}[random.IntN(3)]
		p.at(func(sent []byte) fate {
			if isCommit(sent) {
				return kind
			}
			return pass
		})
		set := withID(put("a", fmt.Sprint(i)), fmt.Sprint("r", i))
		r, err := s.Commit(t.Context(), []conf.ChangeSet{set})
		p.at(nil)
		if kind == pass {
			require.NoError(t, err)
			require.NoError(t, r[0].Err)
		} else {
			require.ErrorIs(t, err, conf.ErrUnknownOutcome)
		}
		committed++
		again, err := direct.Commit(t.Context(), []conf.ChangeSet{set})
		require.NoError(t, err)
		require.NoError(t, again[0].Err)
		require.Equal(t, kind != lost, again[0].Replayed)
		require.Equal(t, committed, again[0].Position.Revision)
	}
	require.Len(t, whole(t, direct), int(committed))
}

// A connection that is lost before COMMIT was sent has done nothing: the
// transaction runs again on another one.
func TestConnectionLostBeforeCommit(t *testing.T) {
	dsn := mariadbtest.Database(t)
	p, dsn := through(t, dsn)
	s := open(t, dsn)
	for i, statement := range []string{"SET TRANSACTION", "START", "FOR UPDATE", "INTO diamond_change", "INTO diamond_entry", "UPDATE diamond_counter"} {
		var cut atomic.Bool
		p.at(func(sent []byte) fate {
			if bytes.Contains(sent, []byte(statement)) && cut.CompareAndSwap(false, true) {
				return lost
			}
			return pass
		})
		require.EqualValues(t, i+1, commit(t, s, put("a", fmt.Sprint(i))).Revision, statement)
		require.True(t, cut.Load(), "the connection was cut at %s", statement)
		s.rested() // so that the next one comes as text too
	}
	p.at(func(sent []byte) fate {
		if bytes.Contains(sent, []byte("INTO diamond_change")) {
			return lost
		}
		return pass
	})
	_, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "never")})
	require.ErrorIs(t, err, conf.ErrUnavailable)
	require.NotErrorIs(t, err, conf.ErrUnknownOutcome)
	p.at(nil)
	require.EqualValues(t, 7, commit(t, s, put("a", "x")).Revision)
}

// rested ends the session that s holds, and reports whether it held one.
func (s *Store) rested() bool {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	held := s.session != nil
	s.end()
	return held
}

// A context that ends before COMMIT was sent ends the transaction, and it is certain
// that nothing was done.
func TestContextEndsBeforeCommit(t *testing.T) {
	s := open(t, mariadbtest.Database(t))
	ctx, cancel := context.WithCancel(t.Context())
	err := s.write(ctx, attempts, nil, func(context.Context, *transaction) error {
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, conf.ErrUnknownOutcome)
}

// A context that ends when a transaction is done with, after a try that failed,
// makes no failure of it.
func TestContextEndsAfterSuccess(t *testing.T) {
	s := open(t, mariadbtest.Database(t))
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	require.NoError(t, s.write(ctx, attempts, nil, func(context.Context, *transaction) error {
		if tries++; tries == 1 {
			return &mysql.MySQLError{Number: deadlock}
		}
		cancel()
		return errNothing
	}))
	require.Equal(t, 2, tries)
}

// The end of a context ends a COMMIT that hangs, and then the outcome is
// unknown; before COMMIT was sent it is the context's error, and nothing was done.
func TestContextEndsDuringCommit(t *testing.T) {
	dsn := mariadbtest.Database(t)
	direct := open(t, dsn)
	p, dsn := through(t, dsn)
	s := open(t, dsn)
	for i, c := range []struct {
		statement string
		unknown   bool
	}{{"\x03COMMIT", true}, {"INTO diamond_change", false}} {
		ctx, cancel := context.WithCancel(t.Context())
		p.at(func(sent []byte) fate {
			if bytes.Contains(sent, []byte(c.statement)) {
				cancel()
				return swallows
			}
			return pass
		})
		set := withID(put("a", fmt.Sprint(i)), fmt.Sprint("r", i))
		_, err := s.Commit(ctx, []conf.ChangeSet{set})
		require.ErrorIs(t, err, context.Canceled)
		if c.unknown {
			require.ErrorIs(t, err, conf.ErrUnknownOutcome)
		} else {
			require.NotErrorIs(t, err, conf.ErrUnknownOutcome)
		}
		p.at(nil)
		p.cut()
		again, err := direct.Commit(t.Context(), []conf.ChangeSet{set})
		require.NoError(t, err)
		require.Equal(t, c.unknown, again[0].Replayed)
		require.Equal(t, time.UTC, whole(t, direct)[i].Time.Location())
	}
}
