package mysqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// patience bounds what tests wait for.
const patience = 2 * time.Minute

func key(dataID string) conf.Key { return conf.NewKey("", dataID) }

func put(dataID, content string) conf.ChangeSet {
	return conf.ChangeSet{Drafts: []conf.Draft{{Key: key(dataID), Content: content}}}
}

func withID(set conf.ChangeSet, id string) conf.ChangeSet {
	set.RequestID = id
	return set
}

func commit(t testing.TB, s *Store, set conf.ChangeSet) conf.Position {
	t.Helper()
	r, err := s.Commit(t.Context(), []conf.ChangeSet{set})
	require.NoError(t, err)
	require.NoError(t, r[0].Err)
	return r[0].Position
}

// whole reads the whole log, and verifies that it is without gaps.
func whole(t testing.TB, s *Store) []conf.Change {
	t.Helper()
	var changes []conf.Change
	var at conf.Position
	for {
		b, err := s.Changes(t.Context(), at, 1<<20)
		require.NoError(t, err)
		if len(b.Changes) == 0 {
			require.Equal(t, b.Head, b.Position)
			return changes
		}
		next, err := at.Follow(b.Changes)
		require.NoError(t, err)
		require.Equal(t, b.Position.Chain, next.Chain)
		changes, at = append(changes, b.Changes...), b.Position
	}
}

// with returns dsn with a change.
func with(t testing.TB, dsn string, change func(*mysql.Config)) string {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	if cfg.Params == nil {
		cfg.Params = make(map[string]string)
	}
	change(cfg)
	return cfg.FormatDSN()
}

// patient returns dsn with statements that wait for locks as long as tests do.
func patient(t testing.TB, dsn string) string {
	t.Helper()
	return with(t, dsn, func(c *mysql.Config) { c.Params["innodb_lock_wait_timeout"] = "120" })
}

// waitFor waits until a statement is at work in the database of db.
func waitFor(t testing.TB, db *sql.DB, statement string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, db.QueryRowContext(t.Context(),
			"SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE ?", statement+"%").Scan(&n))
		return n > 0
	}, patience, time.Millisecond, "no statement like %s", statement)
}

// exec runs statements on one connection.
func exec(t testing.TB, conn interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := conn.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
}

// raw returns a connection of a pool without anything that the storage sets.
func raw(t testing.TB, dsn string) *sql.Conn {
	t.Helper()
	conn, err := mariadbtest.Connect(t, dsn).Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // its session may be dead
	return conn
}

// proxy passes bytes between a store and its database.
type proxy struct {
	addr     string // of the database
	listener net.Listener
	conns    sync.WaitGroup

	mu   sync.Mutex
	fate func(sent []byte) fate // of what a store sends; nil: pass. Guarded by mu
	open map[net.Conn]bool      // guarded by mu
}

// fate is what becomes of a packet, and of its connection.
type fate int

const (
	pass     fate = iota
	lost          // the connection breaks before the database has it
	unheard       // the connection breaks when the database has answered
	swallows      // the database has it, and nothing more is heard of it
)

// through returns the DSN of a proxy to the database of dsn.
func through(t *testing.T, dsn string) (*proxy, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: l, open: make(map[net.Conn]bool)}
	dsn = with(t, dsn, func(c *mysql.Config) { p.addr, c.Addr = c.Addr, l.Addr().String() })
	p.conns.Go(p.accept)
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		p.cut()
		p.conns.Wait()
	})
	return p, dsn
}

// at sets what becomes of what stores send.
func (p *proxy) at(fate func(sent []byte) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fate = fate
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.addr)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.open[client], p.open[server] = true, true
		p.mu.Unlock()
		mute := make(chan struct{}) // closed: answers go nowhere
		heard := make(chan struct{}, 1)
		p.conns.Go(func() { p.forth(client, server, mute, heard) })
		p.conns.Go(func() { p.back(client, server, mute, heard) })
	}
}

// forth passes what the client sends, packet by packet: it sends none before
// the last one was answered.
func (p *proxy) forth(client, server net.Conn, mute chan struct{}, heard <-chan struct{}) {
	defer func() {
		_ = client.(*net.TCPConn).SetLinger(0)
		_ = client.Close()
		_ = server.Close()
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := client.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		f := pass
		if p.fate != nil {
			f = p.fate(b[:n])
		}
		p.mu.Unlock()
		if f == lost {
			return
		}
		if f != pass {
			close(mute)
		}
		if _, err := server.Write(b[:n]); err != nil {
			return
		}
		if f == unheard {
			<-heard
			return
		}
	}
}

func (p *proxy) back(client, server net.Conn, mute <-chan struct{}, heard chan<- struct{}) {
	defer close(heard)
	b := make([]byte, 64<<10)
	for {
		n, err := server.Read(b)
		if err != nil {
			return
		}
		select {
		case <-mute:
			select {
			case heard <- struct{}{}:
			default:
			}
			continue
		default:
		}
		if _, err := client.Write(b[:n]); err != nil {
			return
		}
	}
}

// isCommit reports whether a packet is a COMMIT.
func isCommit(sent []byte) bool { return bytes.HasSuffix(sent, []byte("\x03COMMIT")) }
