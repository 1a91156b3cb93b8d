//go:build unix

package tlsfile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/certtest"
)

// A file system that hangs keeps one caller waiting, which reads the files, and nobody else.
func TestWatched_AReadThatHangsHoldsOneCaller(t *testing.T) {
	dir := t.TempDir()
	certtest.NewAuthority(t).Write(t, dir, "node")
	files := Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	s, err := NewServer(files, NoClientCert)
	require.NoError(t, err)
	before := s.now()
	require.NoError(t, os.Remove(files.Cert))
	require.NoError(t, syscall.Mkfifo(files.Cert, 0o600)) // opening it hangs until somebody writes
	s.reading.Lock()
	s.looked = time.Now().Add(-lookEvery)
	s.reading.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.now()
	}()
	require.Eventually(t, func() bool { // the reader is at it
		if !s.reading.TryLock() {
			return true
		}
		s.reading.Unlock()
		return false
	}, time.Minute, time.Millisecond)
	assert.Same(t, before, s.now())
	assert.False(t, s.Expires().IsZero())
	w, err := os.OpenFile(files.Cert, os.O_WRONLY, 0)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	<-done
	assert.Same(t, before, s.now(), "what it read is no certificate")
}
