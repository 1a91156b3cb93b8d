package boltstore

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
)

// batchSize is how many keys the child writes in each set.
const batchSize = 500

// writeForever is what a child does: it commits sets of many keys, all with
// the same content, and says on standard output what was acknowledged.
func writeForever(t *testing.T, dir string, keys int) {
	s, err := Open(dir)
	require.NoError(t, err)
	page, err := s.Scan(t.Context(), conf.ScanRequest{Limit: 1})
	require.NoError(t, err)
	for n := page.Position.Revision + 1; ; n++ {
		set := conf.ChangeSet{RequestID: fmt.Sprint("r", n)}
		for i := range keys {
			set.Drafts = append(set.Drafts, conf.Draft{Key: key(fmt.Sprint("k", i)), Content: strings.Repeat(fmt.Sprint(n, " "), 20)})
		}
		require.Equal(t, n, commit(t, s, set).Revision)
		fmt.Printf("acknowledged %d\n", n)
	}
}

// killAtRandom runs the child, kills it after a random time and returns the
// last revision that it said was acknowledged.
func killAtRandom(t *testing.T, test, dir string, random *rand.Rand) (acknowledged int64) {
	t.Helper()
	c := child(t, test, "write", dir)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	lines := bufio.NewScanner(out)
	started := make(chan struct{})
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		<-started
		pause := time.NewTimer(time.Duration(random.IntN(30_000)) * time.Microsecond)
		<-pause.C
		_ = c.Process.Kill() // SIGKILL
	}()
	for lines.Scan() {
		n, ok := strings.CutPrefix(lines.Text(), "acknowledged ")
		if !ok {
			continue
		}
		if acknowledged == 0 {
			close(started)
		}
		acknowledged, err = strconv.ParseInt(n, 10, 64)
		require.NoError(t, err)
	}
	if acknowledged == 0 {
		close(started)
	}
	<-killed
	_, _ = io.Copy(io.Discard, out)
	require.Error(t, c.Wait(), "it was killed")
	require.NotZero(t, acknowledged, "the child never wrote")
	return acknowledged
}

// checkAfterCrash asserts that the store opens, holds all that was
// acknowledged, no set in part, and that everything verifies.
func checkAfterCrash(t *testing.T, dir string, acknowledged int64, keys int) {
	t.Helper()
	s := open(t, dir)
	page, err := s.Scan(t.Context(), conf.ScanRequest{Limit: 1000, Contents: true})
	require.NoError(t, err)
	head := page.Position.Revision
	require.GreaterOrEqual(t, head, acknowledged)
	require.LessOrEqual(t, head, acknowledged+1, "at most the set under way")
	require.Len(t, page.Entries, keys)
	for _, e := range page.Entries {
		require.Equal(t, head, e.Revision, "one revision, all or none")
		require.Equal(t, strings.Repeat(fmt.Sprint(head, " "), 20), e.Content)
	}
	after := conf.Position{}
	batch, err := s.Changes(t.Context(), after, 0)
	for ; err == nil && len(batch.Changes) > 0; batch, err = s.Changes(t.Context(), after, 0) {
		require.Len(t, batch.Changes, keys, "a set is never split")
		next, err := after.Follow(batch.Changes)
		require.NoError(t, err)
		require.Equal(t, batch.Position.Chain, next.Chain)
		after = batch.Position
	}
	require.NoError(t, err)
	require.Equal(t, head, after.Revision)
	require.NoError(t, s.Close())
	sound(t, dir)
}

// S19: sets of 500 keys under watch, killed at random: one revision, all or
// none, in one batch of changes.
func TestS19_BatchAtomicity(t *testing.T) {
	if r, dir := role(); r == "write" {
		writeForever(t, dir, batchSize)
	}
	dir, random := t.TempDir(), rand.New(rand.NewPCG(19, 1))
	for range campaign.Scale(t, 4, 50) {
		checkAfterCrash(t, dir, killAtRandom(t, t.Name(), dir, random), batchSize)
	}
}

// S21: a loop of SIGKILL: what was acknowledged is there, the store opens, the
// chain verifies. What a loss of power may drop is in TestS21_PowerLoss.
func TestS21_Kill(t *testing.T) {
	const keys = 3
	if r, dir := role(); r == "write" {
		writeForever(t, dir, keys)
	}
	dir, random := t.TempDir(), rand.New(rand.NewPCG(21, 1))
	for range campaign.Scale(t, 10, 200) {
		checkAfterCrash(t, dir, killAtRandom(t, t.Name(), dir, random), keys)
	}
}
