package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

func newResetToken() *cobra.Command {
	var data string
	var db database
	cmd := &cobra.Command{
		Use:   "reset-token [--data DIR | --mysql DSN]",
		Short: "Mint a new setup token, straight in the store, when nobody has an administrator's token any more",
		Long: `Mint a new setup token, straight in the store, when nobody has an administrator's token any
more. It administers everything and is valid for 24 hours. Earlier setup tokens end.

The command asks no server and needs no right but that to write the store. No server may
run on DIR; those on a database go on. The log of changes shows it, with the origin offline.
The token is printed to standard output alone:

  (umask 077; gdiamond rights reset-token --data DIR > admin-token)`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			store, done, err := openOffline(cmd.Context(), data, &db, logger)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, done()) }()
			result, err := govern.ResetToken(cmd.Context(), store, govern.ResetOptions{By: operator()})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "token:%s administers everything until %s\n", result.Name, result.Expires.Format(time.RFC3339))
			_, err = io.WriteString(cmd.OutOrStdout(), result.Token+"\n")
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultData, dataUsage)
	db.flags(cmd)
	return cmd
}

// openOffline opens a store that a command changes without a server.
func openOffline(ctx context.Context, data string, db *database, logger *slog.Logger) (store diamond.Storage, done func() error, err error) {
	if db.given() {
		dsn, err := db.full()
		if err != nil {
			return nil, nil, err
		}
		store, err := mysqlstore.Open(ctx, dsn, mysqlstore.WithRetention(keepAll), mysqlstore.WithLogger(logger))
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	}
	if err := checkDir("data", data); err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(data); err != nil { // which opening it would create
		return nil, nil, fmt.Errorf("data: %w", err)
	}
	local, err := boltstore.Open(data, boltstore.WithRetention(keepAll), boltstore.WithLogger(logger))
	if errors.Is(err, diamond.ErrInUse) {
		return nil, nil, fmt.Errorf("data: a server runs on %s; stop it first: %w", data, err)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := ownHistory(local, data); err != nil {
		return nil, nil, errors.Join(err, local.Close())
	}
	return local, local.Close, nil
}

// operator names who runs the command, as far as the system knows.
func operator() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("user id %d on %s", os.Getuid(), host)
}
