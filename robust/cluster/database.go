package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/go-sql-driver/mysql"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/proxy"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// Database is a MySQL database that servers share, with a proxy for each of them.
type Database struct {
	DSN   string
	Links []*proxy.Proxy
	dial  proxy.Dial
}

// NewDatabase creates the schema in the database of dsn, and the proxies for the given number
// of servers.
func NewDatabase(ctx context.Context, dsn string, servers int) (*Database, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	db, err := mysqlstore.OpenDB(dsn, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	_, err = mysqlstore.Migrate(ctx, db)
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	d := &Database{DSN: dsn, dial: func(ctx context.Context) (net.Conn, error) {
		return proxy.Loopback{}.Dial(ctx, config.Addr)
	}}
	for range servers {
		ln, err := proxy.Loopback{}.Listen("")
		if err != nil {
			d.Close()
			return nil, err
		}
		d.Listen(ln)
	}
	return d, nil
}

// Listen adds a proxy to the database that accepts on ln, and returns its DSN.
func (d *Database) Listen(ln net.Listener) string {
	d.Links = append(d.Links, proxy.New(ln, d.dial))
	return d.Via(len(d.Links) - 1)
}

// Via returns the DSN of one server's proxy.
func (d *Database) Via(server int) string {
	config, err := mysql.ParseDSN(d.DSN)
	if err != nil {
		panic(err) // NewDatabase has parsed it
	}
	config.Addr = d.Links[server].Addr()
	return config.FormatDSN()
}

// Open opens the storage without a proxy. It retries if the database does not answer within a
// few seconds, because the machine may be busy.
func (d *Database) Open(ctx context.Context) (store *mysqlstore.Store, err error) {
	for range 10 {
		store, err = mysqlstore.Open(ctx, d.DSN, mysqlstore.WithLogger(slog.New(slog.DiscardHandler)))
		if !errors.Is(err, diamond.ErrUnavailable) {
			break
		}
	}
	return store, err
}

// Close closes the proxies.
func (d *Database) Close() {
	for _, link := range d.Links {
		link.Close()
	}
}

// Node returns a member in this process on the database. It keeps a copy in a directory below
// dir.
func (d *Database) Node(number int, dir string) *Node {
	n := &Node{Network: proxy.Loopback{}}
	copied := filepath.Join(dir, fmt.Sprintf("node-%d", number))
	var local *boltstore.Store
	n.Open = func() (diamond.Storage, func() error, error) {
		if err := os.MkdirAll(copied, 0o700); err != nil {
			return nil, nil, err
		}
		var err error
		if local, err = boltstore.Open(copied); err != nil {
			return nil, nil, err
		}
		store, err := mysqlstore.Open(context.Background(), d.Via(number), mysqlstore.WithLateStart(), mysqlstore.WithLogger(n.log.logger()))
		if err != nil {
			return nil, nil, errors.Join(err, local.Close())
		}
		return store, func() error { return errors.Join(store.Close(), local.Close()) }, nil
	}
	n.ServerOptions = func() []diamond.ServerOption { return []diamond.ServerOption{diamond.WithReplica(local)} }
	return n
}
