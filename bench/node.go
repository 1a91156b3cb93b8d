//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// nodeRole is a process with a node of a cluster, on a shared database and with a copy in its own
// folder.
func nodeRole(args []string) error {
	f := flag.NewFlagSet("node", flag.ContinueOnError)
	dsn := f.String("dsn", "", "the database")
	dir := f.String("copy", "", "the folder of the copy")
	conns := f.Int("conns", 0, "connections to the database at most; 0: what mysqlstore has")
	if err := f.Parse(args); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	begun := time.Now()
	db, err := mysqlstore.OpenDB(*dsn, logger)
	if err != nil {
		return err
	}
	defer db.Close()
	if *conns > 0 {
		db.SetMaxOpenConns(*conns)
	}
	local, err := boltstore.Open(*dir)
	if err != nil {
		return err
	}
	defer local.Close()
	store, err := mysqlstore.New(ctx, db, mysqlstore.WithLogger(logger))
	if err != nil {
		return err
	}
	defer store.Close()
	storage := &countedStorage{Storage: store}
	srv, err := diamond.NewServer(storage, diamond.WithReplica(local), diamond.WithLogger(logger))
	if err != nil {
		return err
	}
	if err := ready(srv, time.Minute); err != nil {
		return err
	}
	took := time.Since(begun)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var peers members
	peers.addrs.Store(&[]string{listener.Addr().String()})
	node := server.NewNode(srv, server.WithListener(listener), server.WithLogger(logger), server.WithPeers(&peers, cluster.Secret{}))
	failed := make(chan error, 1)
	go func() { failed <- node.Run(ctx) }()
	err = obey(listener.Addr().String(), map[string]func(command) (any, error){
		"took":    func(command) (any, error) { return took, nil },
		"copied":  func(c command) (any, error) { return copied(srv, begun, c.For) },
		"publish": func(c command) (any, error) { return publish(ctx, srv, c.Key, string(c.Data)) },
		"peers": func(c command) (any, error) {
			addrs := strings.Split(c.Addr, ",")
			peers.addrs.Store(&addrs)
			return nil, nil
		},
		"collect": func(command) (any, error) { return nil, collect() },
		"waiting": func(command) (any, error) { return srv.Status().Waiters, nil },
		"counts":  func(command) (any, error) { return storage.counts(srv), nil },
		"pool":    func(command) (any, error) { return db.Stats(), nil },
	})
	stop()
	return errors.Join(err, <-failed)
}

// peersAsked is the interval at which a node refreshes its peers.
const peersAsked = 3 * time.Second

// members are the known servers of a cluster.
type members struct{ addrs atomic.Pointer[[]string] }

// Resolve implements [server.Resolver].
func (m *members) Resolve(context.Context) ([]string, error) {
	return *m.addrs.Load(), nil
}

// copied waits until the copy has everything in the storage, and returns the time since the start.
func copied(srv diamond.Server, begun time.Time, limit time.Duration) (time.Duration, error) {
	for waited := time.Now(); ; time.Sleep(time.Millisecond) {
		switch st := srv.Status(); {
		case st.Confirmed.IsZero():
		case st.Replica.Err != nil:
			return 0, st.Replica.Err
		case st.Replica.Position == st.Position:
			return time.Since(begun), nil
		}
		if time.Since(waited) > limit {
			return 0, errors.New("the copy is not whole")
		}
	}
}
