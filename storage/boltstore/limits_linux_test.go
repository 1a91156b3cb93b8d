package boltstore

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
)

func limited(t *testing.T, dir string) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	s := open(t, dir)
	commit(t, s, put("a", "x"))
	setLimit(t, syscall.RLIMIT_FSIZE, 16<<20)
	var err error
	for i := 0; err == nil; i++ {
		_, err = s.Commit(t.Context(), []conf.ChangeSet{put("big", strings.Repeat(fmt.Sprint(i%10), 5<<20))})
	}
	require.ErrorIs(t, err, conf.ErrNoSpace)
	e, err := s.Read(t.Context(), key("a"), 0)
	require.NoError(t, err)
	require.Equal(t, "x", e.Content)
	setLimit(t, syscall.RLIMIT_FSIZE, 1<<30)
	commit(t, s, put("big", strings.Repeat("y", 20<<20)))
}

// setLimit sets a soft limit of this process.
func setLimit(t *testing.T, resource int, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(resource, &limit))
	limit.Cur = n
	require.NoError(t, syscall.Setrlimit(resource, &limit))
}

// Defect S19: file descriptors stay flat, however much is published.
func TestDefect_S19_DescriptorsFlat(t *testing.T) {
	s := open(t, t.TempDir())
	commit(t, s, put("a", "x"))
	before := descriptors(t)
	for i := range campaign.Scale(t, 2_000, 47_000) {
		commit(t, s, put(fmt.Sprint("k", i%100), fmt.Sprint(i)))
	}
	require.LessOrEqual(t, descriptors(t), before)
}

// Defect S19: 100,000 keys under a limit of 1024 file descriptors, and far fewer.
func TestDefect_S19_ManyKeysFewDescriptors(t *testing.T) {
	if r, dir := role(); r == "limited" {
		setLimit(t, syscall.RLIMIT_NOFILE, 32)
		s := open(t, dir)
		req := conf.ScanRequest{Limit: 1000, Contents: true}
		for more := true; more; {
			page, err := s.Scan(t.Context(), req)
			require.NoError(t, err)
			req.After, more = page.Entries[len(page.Entries)-1].Key, page.More
			commit(t, s, put(page.Entries[0].Key.DataID, "new"))
		}
		return
	}
	dir := t.TempDir()
	s := open(t, dir)
	n := campaign.Scale(t, 10_000, 100_000)
	for i := 0; i < n; i += 1000 {
		sets := make([]conf.ChangeSet, 1000)
		for j := range sets {
			sets[j] = put(fmt.Sprintf("k%06d", i+j), strings.Repeat("x", 100))
		}
		_, err := s.Commit(t.Context(), sets)
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	out, err := child(t, t.Name(), "limited", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, n, sound(t, dir).Keys)
}

// descriptors returns how many file descriptors this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(names)
}
