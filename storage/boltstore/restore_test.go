package boltstore

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
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
	var seen diamond.Position
	for range 10 {
		seen = commit(t, r, put("a", "of the first"))
	}

	second, err := Restore(t.Context(), filepath.Join(t.TempDir(), "second"), &backup)
	require.NoError(t, err)
	require.Positive(t, second.Compare(seen))
}

// What a client read before the loss must not pass as a condition after it.
func TestD9_ConditionsOnLostRevisionsFail(t *testing.T) {
	s := open(t, t.TempDir())
	commit(t, s, put("a", "1"))
	var backup bytes.Buffer
	require.NoError(t, s.Backup(t.Context(), &backup))
	var lost diamond.Position
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
		set.Drafts[0].IfRevision = diamond.Revision(lost.Revision)
		results, err := r.Commit(t.Context(), []diamond.ChangeSet{set})
		require.NoError(t, err)
		require.ErrorIs(t, results[0].Err, diamond.ErrConflict)
	}
}
