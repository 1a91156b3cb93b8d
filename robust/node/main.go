// Command node runs one server of a cluster on MySQL, for the harness: like
// gdiamond's, but small enough to be told everything by flags, and built with
// failpoints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

func main() {
	listen := flag.String("listen", "", "the address to listen on")
	dsn := flag.String("mysql", "", "the DSN of the database")
	data := flag.String("data", "", "the directory of the copy on disk; none is kept without")
	names := flag.String("namesrv", "", "name servers, separated by commas")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *dsn, *data, *names); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen, dsn, data, names string) (err error) {
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more does not end it
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store, err := mysqlstore.Open(ctx, dsn, mysqlstore.WithLateStart(), mysqlstore.WithLogger(logger))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	options := []diamond.ServerOption{diamond.WithLogger(logger)}
	if data != "" {
		local, err := boltstore.Open(data)
		if err != nil {
			return err
		}
		defer local.Close()
		options = append(options, diamond.WithReplica(local))
	}
	srv, err := diamond.NewServer(store, options...)
	if err != nil {
		return err
	}
	hosting := []server.Option{server.WithAddress(listen), server.WithLogger(logger)}
	if names != "" {
		registry, err := namesrv.NewClient(strings.Split(names, ","), namesrv.WithLogger(logger))
		if err != nil {
			return errors.Join(err, srv.Close())
		}
		secret, err := cluster.NewSecret("the secret of all servers in here")
		if err != nil {
			return errors.Join(err, srv.Close())
		}
		hosting = append(hosting, server.WithRegistry(registry, ""), server.WithPeers(registry, secret))
	}
	return server.New(srv, hosting...).Run(ctx)
}
