package proc

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/report"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// fakeDatabaseClock has the database server that is started next be a day
// ahead, where libfaketime is installed, and reports whether it is.
func fakeDatabaseClock(t *testing.T) bool {
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	require.NoError(t, err)
	if len(found) == 0 {
		return false
	}
	t.Setenv("LD_PRELOAD", found[0])
	t.Setenv("FAKETIME", "+1d")
	t.Setenv("DONT_FAKE_MONOTONIC", "1")
	return true
}

// S24: the servers' clocks differ by two hours, and the database's is a day
// ahead of all. A server is killed between its commit and its word of it, and
// everything else is as ever, too.
func TestS24_WrongClocks(t *testing.T) {
	config := traffic.Config{
		Seed: rand.Uint64(), Keys: 4, Subscribers: 3, Watchers: 2, Publishers: 4, Readers: 4,
		Pause: 50 * time.Millisecond, MaxContent: 1000,
	}
	faked := fakeDatabaseClock(t)
	w := world(t, config.Clients(), "-1h", "0s", "1h")
	for _, name := range []string{"LD_PRELOAD", "FAKETIME", "DONT_FAKE_MONOTONIC"} {
		require.NoError(t, os.Unsetenv(name))
	}
	db := mariadbtest.Connect(t, w.Database.DSN)
	var now int64
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT UNIX_TIMESTAMP()").Scan(&now))
	ahead := time.Until(time.Unix(now, 0))
	t.Logf("the database's clock is %v ahead (libfaketime: %v)", ahead.Round(time.Minute), faked)
	assert.Equal(t, faked, ahead > 20*time.Hour)

	recorder := record.New(config.Seed)
	load := traffic.Start(w, config, recorder)
	w.await(t, func() bool { return recorder.Len() > 300 })
	w.restartArmed(t, "server.afterCommitBeforeNotify=kill@3")
	// Clients may have left it when it was started again: these are no part of the record.
	for i := 0; w.Processes[0].Running(); i++ {
		_, _ = w.Direct(0).Commit(t.Context(), &conf.CommitRequest{Set: diamond.ChangeSet{
			Drafts: []diamond.Draft{{Key: traffic.Key(100), Content: fmt.Sprint(i)}},
		}})
	}
	require.Error(t, w.Processes[0].Wait(), "it was killed")
	calls := recorder.Len()
	w.await(t, func() bool { return recorder.Len() > calls+300 })
	require.NoError(t, w.restore())

	store, err := w.Database.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	// Two servers have stamped what they committed; time goes to and fro in the log.
	require.NoError(t, w.Judge(t.Context(), load, config.Keys, store, recorder))
	report.Check(t, recorder.History(), w.Logs())
}
