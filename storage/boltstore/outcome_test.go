package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
)

// failing lets a store's writes fail with err where when says so.
func failing(t *testing.T, s *Store, err *error, late bool, when func(offset int64) bool) {
	t.Helper()
	intercept(t, s, func(real writeAt) writeAt {
		return func(b []byte, offset int64) (int, error) {
			if *err == nil || !when(offset) {
				return real(b, offset)
			}
			n := 0
			if late {
				n, _ = real(b, offset)
			}
			return n, *err
		}
	})
}

// A publish that failed has changed nothing, in any view.
func TestDefect_S8_FailedPublishChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, put("a", "old"))
	before, err := dump(t.Context(), s)
	require.NoError(t, err)
	var cause error
	failing(t, s, &cause, false, func(int64) bool { return true })
	for _, c := range []struct{ cause, want error }{
		{&fs.PathError{Op: "write", Err: syscall.ENOSPC}, conf.ErrNoSpace},
		{&fs.PathError{Op: "write", Err: syscall.EROFS}, conf.ErrNoSpace},
		{&fs.PathError{Op: "write", Err: syscall.EDQUOT}, conf.ErrNoSpace},
		{&fs.PathError{Op: "write", Err: syscall.EFBIG}, conf.ErrNoSpace},
		{&fs.PathError{Op: "write", Err: syscall.EIO}, conf.ErrUnavailable},
	} {
		cause = c.cause
		_, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "new"), put("b", "new")})
		require.ErrorIs(t, err, c.want)
		after, err := dump(t.Context(), s)
		require.NoError(t, err, "reads go on")
		require.Equal(t, before, after)
	}
	cause = nil
	require.EqualValues(t, 2, commit(t, s, put("a", "new")).Revision)
	require.NoError(t, s.Close())
	sound(t, dir)
}

// bbolt passes some causes on as text only.
func TestNoSpaceFromText(t *testing.T) {
	for _, errno := range []error{syscall.ENOSPC, syscall.EFBIG} {
		err := fmt.Errorf("file resize error: %s", &fs.PathError{Op: "truncate", Path: "/d/store.db", Err: errno})
		assert.ErrorIs(t, (&Store{dir: "/d"}).failure(err), conf.ErrNoSpace)
	}
	assert.ErrorIs(t, (&Store{}).failure(errors.New("mmap too large")), conf.ErrUnavailable)
}

// A commit whose last page was written, but not known to be synced, is of
// unknown outcome, and its request id settles it.
func TestUnknownOutcome(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, put("a", "old"))
	cause := error(&fs.PathError{Op: "fdatasync", Err: syscall.EIO})
	failing(t, s, &cause, true, func(offset int64) bool { return metaWrite(s, offset) })
	set := put("a", "new")
	set.RequestID = "r1"
	_, err := s.Commit(t.Context(), []conf.ChangeSet{set})
	require.ErrorIs(t, err, conf.ErrUnknownOutcome)
	require.NotErrorIs(t, err, conf.ErrUnavailable)

	// While nothing can be synced, not even a replay may be acknowledged.
	_, err = s.Commit(t.Context(), []conf.ChangeSet{set})
	require.ErrorIs(t, err, conf.ErrUnknownOutcome)

	cause = nil
	r, err := s.Commit(t.Context(), []conf.ChangeSet{set})
	require.NoError(t, err)
	require.True(t, r[0].Replayed)
	require.EqualValues(t, 2, r[0].Position.Revision)
	require.EqualValues(t, 3, commit(t, s, put("b", "x")).Revision)
	require.NoError(t, s.Close())
	sound(t, dir)
}

// A commit of which the last page was not written is not done, and is told so.
func TestMetaNotWritten(t *testing.T) {
	s := open(t, t.TempDir())
	cause := error(&fs.PathError{Op: "write", Err: syscall.ENOSPC})
	failing(t, s, &cause, false, func(offset int64) bool { return metaWrite(s, offset) })
	_, err := s.Commit(t.Context(), []conf.ChangeSet{put("a", "x")})
	require.ErrorIs(t, err, conf.ErrNoSpace)
	cause = nil
	require.EqualValues(t, 1, commit(t, s, put("a", "x")).Revision)
}

// S5: one of ten transactions is rolled back at its very end.
func TestS5_RollbackLeavesNoHole(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	n, failed := campaign.Scale(t, 1_000, 10_000), 0
	broken := errors.New("rolled back")
	for i := range n {
		s.beforeEnd = nil
		if i%10 == 9 {
			s.beforeEnd = func() error { return broken }
		}
		_, err := s.Commit(t.Context(), []conf.ChangeSet{put(fmt.Sprint("k", i%50), fmt.Sprint(i))})
		if i%10 == 9 {
			require.ErrorIs(t, err, conf.ErrUnavailable)
			failed++
			continue
		}
		require.NoError(t, err)
	}
	batch, err := s.Changes(t.Context(), conf.Position{}, 1<<40)
	require.NoError(t, err)
	end, err := conf.Position{}.Follow(batch.Changes)
	require.NoError(t, err)
	require.EqualValues(t, n-failed, end.Revision)
	require.Equal(t, batch.Head.Chain, end.Chain)
	require.NoError(t, s.Close())
	require.Equal(t, n-failed, sound(t, dir).Changes)
}
