package privatefile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	for mode, good := range map[os.FileMode]bool{0o600: true, 0o640: true, 0o400: true, 0o644: false, 0o604: false, 0o602: false, 0o601: false} {
		require.NoError(t, os.Chmod(name, mode))
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, good, check(info, "linux") == nil, mode)
		assert.NoError(t, check(info, "windows"))
	}
}
