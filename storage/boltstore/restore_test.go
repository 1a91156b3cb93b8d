package boltstore

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// The same backup is restored twice, and work goes on after each time. Who has
// seen the first outcome can tell that the second one is newer, though it has
// fewer changes.
func TestD9_TheSameBackupRestoredTwice(t *testing.T) {
	s := open(t, t.TempDir())
	commit(t, s, put("a", "1"))
	var backup bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &backup))

	first := filepath.Join(t.TempDir(), "first")
	_, err := Restore(t.Context(), first, bytes.NewReader(backup.Bytes()))
	require.NoError(t, err)
	r := open(t, first)
	var seen conf.Position
	for range 10 {
		seen = commit(t, r, put("a", "of the first"))
	}

	second, err := Restore(t.Context(), filepath.Join(t.TempDir(), "second"), &backup)
	require.NoError(t, err)
	require.Positive(t, second.Compare(seen))
}

// restoreClock has Restore take a time for the present one.
func restoreClock(now time.Time) RestoreOption {
	return func(r *restoring) { r.now = func() time.Time { return now } }
}

// S24: a backup is restored under a clock that is ten years ahead, and then under
// the right one. Only who says above which generation makes the second outcome
// newer than the first.
func TestS24_RestoredUnderAClockAhead(t *testing.T) {
	s := open(t, t.TempDir())
	commit(t, s, put("a", "1"))
	var backup bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &backup))
	restore := func(from []byte, opts ...RestoreOption) (string, conf.Position) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "restored")
		at, err := Restore(t.Context(), dir, bytes.NewReader(from), opts...)
		require.NoError(t, err)
		require.Equal(t, at, sound(t, dir).Position)
		return dir, at
	}
	now := time.Now()
	_, wrong := restore(backup.Bytes(), restoreClock(now.AddDate(10, 0, 0)))
	_, right := restore(backup.Bytes(), restoreClock(now))
	require.Negative(t, right.Compare(wrong), "nothing in the backup says which came first")
	dir, above := restore(backup.Bytes(), restoreClock(now), WithGenerationAbove(wrong.Epoch.Generation))
	require.Positive(t, above.Compare(wrong))
	_, low := restore(backup.Bytes(), restoreClock(now.Add(time.Second)), WithGenerationAbove(1))
	require.Positive(t, low.Compare(right), "a low one does no harm")

	// A backup of that store is ahead of the clock as well: restored twice, both
	// outcomes would be of one generation.
	r := open(t, dir)
	var next bytes.Buffer
	require.NoError(t, r.Backup(t.Context(), &next))
	to := filepath.Join(t.TempDir(), "to")
	_, err := Restore(t.Context(), to, bytes.NewReader(next.Bytes()), restoreClock(now.Add(time.Hour)))
	require.ErrorIs(t, err, conf.ErrInvalid)
	require.ErrorContains(t, err, "--above")
	require.ErrorContains(t, err, fmt.Sprint(above.Epoch.Generation))
	require.NoFileExists(t, fileOf(to))
	_, again := restore(next.Bytes(), restoreClock(now.Add(time.Hour)), WithGenerationAbove(above.Epoch.Generation))
	require.Positive(t, again.Compare(above))
}

// S24: a clock that is behind the newest change cannot say that a restore came
// after it.
func TestS24_RestoredUnderAClockBehind(t *testing.T) {
	now := time.Now()
	s := open(t, t.TempDir(), clock(&now))
	commit(t, s, put("a", "1"))
	var backup bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &backup))

	to := filepath.Join(t.TempDir(), "to")
	behind := restoreClock(now.Add(-time.Hour))
	_, err := Restore(t.Context(), to, bytes.NewReader(backup.Bytes()), behind)
	require.ErrorIs(t, err, conf.ErrInvalid)
	require.ErrorContains(t, err, "the clock says")
	require.ErrorContains(t, err, "--above")
	require.NoFileExists(t, fileOf(to))

	seen := now.Add(time.Hour).UnixMicro()
	at, err := Restore(t.Context(), to, bytes.NewReader(backup.Bytes()), behind, WithGenerationAbove(seen))
	require.NoError(t, err)
	require.Equal(t, seen+1, at.Epoch.Generation)
	sound(t, to)

	for _, none := range []int64{-1, math.MaxInt64} {
		_, err = Restore(t.Context(), filepath.Join(t.TempDir(), "none"), bytes.NewReader(backup.Bytes()), WithGenerationAbove(none))
		require.ErrorIs(t, err, conf.ErrInvalid)
	}
}

// What a client read before the loss must not pass as a condition after it.
func TestD9_ConditionsOnLostRevisionsFail(t *testing.T) {
	s := open(t, t.TempDir())
	commit(t, s, put("a", "1"))
	var backup bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &backup))
	var lost conf.Position
	for range 3 {
		lost = commit(t, s, put("a", "lost"))
	}

	to := filepath.Join(t.TempDir(), "restored")
	_, err := Restore(t.Context(), to, &backup)
	require.NoError(t, err)
	r := open(t, to)
	for range 3 {
		commit(t, r, put("a", "published since"))
		set := put("a", "meant to replace what was lost")
		set.Drafts[0].IfRevision = conf.Revision(lost.Revision)
		results, err := r.Commit(t.Context(), []conf.ChangeSet{set})
		require.NoError(t, err)
		require.ErrorIs(t, results[0].Err, conf.ErrConflict)
	}
}
