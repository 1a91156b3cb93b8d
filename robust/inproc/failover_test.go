package inproc

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// pair is a database server and its replica, which follows it asynchronously.
type pair struct {
	primary, replica *mariadbtest.Server
	dsn              string // of the database at the primary
	master, follower *sql.DB
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{
		primary: mariadbtest.Start(t, mariadbtest.Options{Args: []string{"--log-bin", "--server-id=1", "--binlog-format=ROW"}}),
		replica: mariadbtest.Start(t, mariadbtest.Options{Args: []string{"--log-bin", "--server-id=2", "--log-slave-updates"}}),
	}
	p.master, p.follower = mariadbtest.Connect(t, p.primary.DSN()), mariadbtest.Connect(t, p.replica.DSN())
	var at string
	require.NoError(t, p.master.QueryRowContext(t.Context(), "SELECT @@gtid_binlog_pos").Scan(&at))
	config, err := mysql.ParseDSN(p.primary.DSN())
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(p.primary.Addr())
	require.NoError(t, err)
	p.exec(t, p.follower,
		fmt.Sprintf("SET GLOBAL gtid_slave_pos = '%s'", at),
		fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='%s', MASTER_PORT=%s, MASTER_USER='%s', MASTER_PASSWORD='%s', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1",
			host, port, config.User, config.Passwd),
		"START SLAVE")
	// A database and a user that both have.
	p.exec(t, p.master, "CREATE DATABASE diamond", "CREATE USER diamond@'%' IDENTIFIED BY 'secret'", "GRANT ALL ON diamond.* TO diamond@'%'")
	config.User, config.Passwd, config.DBName = "diamond", "secret", "diamond"
	p.dsn = config.FormatDSN()
	p.caughtUp(t)
	return p
}

func (p *pair) exec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := db.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
}

// caughtUp waits until the replica has all that the primary has.
func (p *pair) caughtUp(t *testing.T) {
	t.Helper()
	var at string
	require.NoError(t, p.master.QueryRowContext(t.Context(), "SELECT @@gtid_binlog_pos").Scan(&at))
	var outcome int
	require.NoError(t, p.follower.QueryRowContext(t.Context(), "SELECT MASTER_GTID_WAIT(?, ?)", at, patience.Seconds()).Scan(&outcome))
	require.Zero(t, outcome, "the replica does not catch up")
}

// promote has the replica be the primary, for all servers.
func (p *pair) promote(t *testing.T, w *World) {
	t.Helper()
	p.exec(t, p.follower, "STOP SLAVE", "RESET SLAVE ALL")
	config, err := mysql.ParseDSN(w.Database.DSN)
	require.NoError(t, err)
	config.Addr = p.replica.Addr()
	w.Database.DSN = config.FormatDSN()
	for _, link := range w.Database.Links {
		link.Target(func(ctx context.Context) (net.Conn, error) { return proxy.Loopback{}.Dial(ctx, p.replica.Addr()) })
		link.Cut()
	}
}

// A planned failover under load: the primary turns read-only, the replica has
// all, and is promoted. Nothing is lost and the epoch stays.
func TestS9_FailoverWithoutLoss(t *testing.T) {
	p := newPair(t)
	config := DefaultTraffic(seed(t))
	w := NewWorldOn(t, p.dsn, config.Clients())
	recorder := record.New(config.Seed)
	load := traffic.Start(w, config, recorder)
	eventually(t, func() bool { return recorder.Len() > 100 }, "load")
	before := w.Nodes[0].Server().Status().Position

	p.exec(t, p.master, "SET GLOBAL read_only = 1")
	p.caughtUp(t)
	p.promote(t, w)
	p.primary.Kill()

	after := w.publish(t, 1, traffic.Key(9), "after")
	assert.Equal(t, before.Epoch, after.Epoch)
	calls := recorder.Len()
	eventually(t, func() bool { return recorder.Len() > calls+100 }, "load")
	w.Conclude(t, load, recorder, config, nil)
}

// The replica that is promoted lacks the last changes, which servers and
// clients have seen, and others take their revisions: a new epoch begins, and
// all end at what there is now.
func TestS10_FailoverThatLostTheTail(t *testing.T) {
	p := newPair(t)
	w := NewWorldOn(t, p.dsn, 3)
	lost, kept, both := traffic.Key(0), traffic.Key(1), traffic.Key(2)
	w.publish(t, 0, kept, "kept")
	w.publish(t, 0, both, "old")
	for i := range 10 {
		w.publish(t, i%nodes, traffic.Key(3), fmt.Sprint(i))
	}
	p.caughtUp(t)
	p.exec(t, p.follower, "STOP SLAVE")
	w.publish(t, 0, lost, "lost")
	for i := range 9 {
		w.publish(t, i%nodes, both, fmt.Sprint("lost ", i))
	}
	var listeners [][]*told
	for c := range 3 {
		listeners = append(listeners, w.follow(t, c, lost, kept, both))
	}
	for _, l := range listeners {
		eventually(t, func() bool { return l[0].Last() == "lost" && l[1].Last() == "kept" && l[2].Last() == "lost 8" }, "clients hold what will be lost")
	}
	before := w.Nodes[0].Server().Status().Position

	p.primary.Kill()
	p.promote(t, w)
	for i := range 10 { // whoever is first takes the revisions of those that were lost
		w.publish(t, i%nodes, both, fmt.Sprint("new ", i))
	}
	after := w.publish(t, rand.IntN(nodes), both, "newest")
	for _, l := range listeners {
		eventually(t, func() bool { return l[2].Last() == "newest" }, "clients end at what there is")
		assert.Equal(t, "kept", l[1].Last())
	}
	assert.Greater(t, after.Epoch.Generation, before.Epoch.Generation, "a new epoch")
	assert.Greater(t, after.Revision, before.Revision, "above all that was seen")
	for i, n := range w.Nodes {
		eventually(t, func() bool { return n.Server().Status().Position == after }, "node %d", i)
		assert.Positive(t, n.Server().Status().Counters.Forks)
	}
	// Whoever starts anew, with a snapshot of what was lost, ends there too.
	again := w.follow(t, 0, both)
	eventually(t, func() bool { return again[0].Last() == "newest" }, "a client with a newer snapshot")
}
