package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/linnaname/gdiamond/internal/mariadbtest"
)

// serve starts a server with an empty database, writes its DSN, and stops it
// when it is interrupted.
func serve(database string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := provide(); err != nil {
		return err
	}
	server, err := mariadbtest.New(mariadbtest.Options{Durable: true})
	if err != nil {
		return err
	}
	defer func() {
		server.Stop()
		err = errors.Join(err, server.Close())
	}()
	dsn, err := server.NewDatabase(ctx, database)
	if err != nil {
		return err
	}
	fmt.Println(dsn)
	<-ctx.Done()
	return nil
}
