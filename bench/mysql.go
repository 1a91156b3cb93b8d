//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/linnaname/gdiamond/internal/mariadbtest"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// silent is the logger of parts that also return their errors.
var silent = slog.New(slog.DiscardHandler)

// database is a fresh database on a server of this run, which waits for the disk like a default
// server, or on the server that the environment names, with any settings.
type database struct {
	server *mariadbtest.Server // nil for the server of the environment
	dsn    string              // of the database
	name   string
	db     *sql.DB
}

// bufferPool is the server's memory for tables. The tables must fit into it: the default of
// 128 MiB would measure reads from the disk.
const bufferPool = "--innodb-buffer-pool-size=1G"

// newDatabase starts a server and prints its version.
func newDatabase(s settings, r *report) (d *database, err error) {
	d = &database{dsn: os.Getenv(mariadbtest.EnvDSN)}
	if d.dsn == "" {
		if d.server, err = mariadbtest.New(mariadbtest.Options{Durable: true, Dir: s.dir, Args: []string{bufferPool}}); err != nil {
			return nil, err
		}
		d.dsn = d.server.DSN()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := d.create(); err != nil {
		return nil, err
	}
	var version, flush string
	var pool int64
	if err := d.db.QueryRow("SELECT VERSION(), @@innodb_flush_log_at_trx_commit, @@innodb_buffer_pool_size").Scan(&version, &flush, &pool); err != nil {
		return nil, err
	}
	r.note("database", "%s, innodb_flush_log_at_trx_commit %s, innodb_buffer_pool_size %d MiB", version, flush, pool>>20)
	return d, nil
}

// create creates the database and connects to it.
func (d *database) create() error {
	cfg, err := mysql.ParseDSN(d.dsn)
	if err != nil {
		return err
	}
	cfg.DBName = ""
	admin, err := sql.Open("mysql", cfg.FormatDSN())
	if err != nil {
		return err
	}
	defer admin.Close()
	d.name = "gdiamond_bench_" + strings.ToLower(rand.Text()[:12])
	if _, err := admin.Exec("CREATE DATABASE " + d.name); err != nil {
		return err
	}
	cfg.DBName = d.name
	d.dsn = cfg.FormatDSN()
	d.db, err = mysqlstore.OpenDB(d.dsn, silent)
	return err
}

// close removes the database and stops the server.
func (d *database) close() error {
	if d.server != nil {
		return d.server.Close()
	}
	if d.db == nil {
		return nil
	}
	_, err := d.db.Exec("DROP DATABASE " + d.name)
	return errors.Join(err, d.db.Close())
}

// fill creates the schema and the given number of entries, each published once.
func (d *database) fill(entries int) (err error) {
	store, err := mysqlstore.New(context.Background(), d.db, mysqlstore.WithMigrate(), mysqlstore.WithLogger(silent))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return fillStore(store, entries)
}

// cpu returns the processor time of the server, or 0 if it is not a server of this run.
func (d *database) cpu() (time.Duration, error) {
	if d.server == nil {
		return 0, nil
	}
	return cpuOf(d.server.PID())
}

// questions returns the number of statements that clients have sent to the server, including this
// one.
func (d *database) questions() (n int64, err error) {
	var name string
	err = d.db.QueryRow("SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n)
	return n, err
}
