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
		Short: "Move the store in a data directory to a MySQL-compatible database, with its history",
		Long: `Move the store in a data directory to a MySQL-compatible database, with its history.

Stop the server on DIR first, and do not start it again: what was published to it then
would be lost to the copy. Clients go on with the servers on the database as if nothing had
happened. The database must be empty, or hold a copy that was cut short, which goes on
where it ended. The schema is made where it is missing. DIR is left as it is.`,
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
