package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

func newCopy() *cobra.Command {
	var from string
	var to database
	cmd := &cobra.Command{
		Use:   "copy --from DIR --mysql DSN",
		Short: "Copy the store in a data directory, with its history, to a MySQL-compatible database",
		Long: `Copy the store in a data directory, with its history, to a MySQL-compatible database.

Stop the server on DIR first, and do not start it again: the copy would lack everything
published to it then. Clients continue with servers on the database and do not notice the
move. The database must be empty, or hold an interrupted copy, which continues where it
stopped. A missing schema is created. DIR is not changed.`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if from == "" {
				return usageError{errors.New("from: give the data directory to copy")}
			}
			dsn, err := to.full()
			if err != nil {
				return err
			}
			if _, err := boltstore.Check(cmd.Context(), from); err != nil {
				return err
			}
			source, err := boltstore.Open(from, boltstore.WithReadOnly())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, source.Close()) }()
			logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			target, err := mysqlstore.Open(cmd.Context(), dsn, mysqlstore.WithMigrate(), mysqlstore.WithRetention(keepAll), mysqlstore.WithLogger(logger))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, target.Close()) }()
			at, err := storage.Copy(cmd.Context(), source, target)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "copied %s up to revision %d\n", from, at.Revision)
			return err
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "data `DIR` to copy")
	to.flags(cmd)
	return cmd
}
