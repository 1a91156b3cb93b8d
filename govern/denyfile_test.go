package govern

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

func denyFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "deny")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestDenyFile_Lines(t *testing.T) {
	d, err := ReadDenyFile(denyFile(t, "# who left\n\n  user:ann  # on Friday\ntoken:t.deploy\r\ncert:uri:spiffe://a#b\nanonymous"), nil)
	require.NoError(t, err)
	assert.Equal(t, 4, d.Len())
	for _, name := range []string{"user:ann", "token:t.deploy", "cert:uri:spiffe://a#b", "anonymous", ""} {
		assert.True(t, d.Denies(name), name)
	}
	assert.False(t, d.Denies("user:bob"))
	assert.False(t, (*DenyFile)(nil).Denies("user:ann"), "no file denies nobody")

	for content, says := range map[string]string{
		"user:ann\nann": "line 2", "user:": "line 1", "team:ops": "team", "user:Ann": "line 1", "user:ann, user:bob": "line 1",
		strings.Repeat("# x\n", maxDenyFile/4+1): "more than",
	} {
		_, err := ReadDenyFile(denyFile(t, content), nil)
		assert.ErrorIs(t, err, conf.ErrInvalid, content[:min(len(content), 20)])
		assert.ErrorContains(t, err, says)
	}
	_, err = ReadDenyFile(filepath.Join(t.TempDir(), "none"), nil)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestDenyFile_TakesChangesWithinASecond(t *testing.T) {
	path := denyFile(t, "user:ann\nuser:bob\n")
	synctest.Test(t, func(t *testing.T) {
		var log clienttest.Logs
		d, err := ReadDenyFile(path, slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		var told [][]string
		d.onChange(func(names []string) { slices.Sort(names); told = append(told, names) })
		go d.Run(t.Context())
		write := func(content string) {
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			time.Sleep(time.Second)
			synctest.Wait()
		}
		write("user:ann\ntoken:x\n")
		assert.True(t, d.Denies("token:x"))
		assert.False(t, d.Denies("user:bob"))
		assert.Equal(t, [][]string{{"token:x", "user:bob"}}, told, "of those whose state changed, once")
		write("user:ann\ntoken:x\n# nobody else\n")
		assert.Len(t, told, 1)

		write("user:ann\nbob") // damaged
		assert.True(t, d.Denies("token:x"), "the last list stays in force")
		assert.Equal(t, 1, strings.Count(log.String(), "is not taken"), "once, however often it looks: %s", log.String())
		require.NoError(t, os.Remove(path))
		time.Sleep(time.Second)
		synctest.Wait()
		assert.True(t, d.Denies("token:x"))
		assert.Equal(t, 2, strings.Count(log.String(), "is not taken"))
		write("")
		assert.Zero(t, d.Len())
		write("user:ann\nbob")
		assert.Equal(t, 3, strings.Count(log.String(), "is not taken"), "a new failure after a success")
	})
}

// Who writes a file first empties it.
func TestDenyFile_TakesNoFileThatIsBeingWritten(t *testing.T) {
	path := denyFile(t, "user:ann\n")
	d, err := ReadDenyFile(path, nil)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	d.look(false)
	assert.True(t, d.Denies("user:ann"))
	require.NoError(t, os.WriteFile(path, []byte("user:ann\nuser:bob\n"), 0o600))
	d.look(false)
	assert.False(t, d.Denies("user:bob"))
	d.look(false)
	assert.True(t, d.Denies("user:bob"))
	require.NoError(t, os.WriteFile(path, []byte("user:cay\n"), 0o600))
	d.Reload()
	assert.True(t, d.Denies("user:cay"), "a signal has it taken at once")
}
