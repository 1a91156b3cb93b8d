package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

func newMigrate() *cobra.Command {
	var to database
	var show, check bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make the schema in a MySQL-compatible database, or bring it up to date",
		Long: `Make the schema in a MySQL-compatible database, or bring it up to date.

Several at once do no harm: one does the work. --print needs no database: it writes the
statements, for a review, or for someone with the rights to run them by hand.`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if show {
				return mysqlstore.Print(cmd.OutOrStdout())
			}
			db, err := to.connect(slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			if check {
				pending, err := mysqlstore.Pending(cmd.Context(), db)
				if err == nil && len(pending) > 0 {
					err = fmt.Errorf("the schema lacks %s; run `gdiamond migrate`", strings.Join(pending, ", "))
				}
				return err
			}
			applied, err := mysqlstore.Migrate(cmd.Context(), db)
			if err != nil {
				return err
			}
			if len(applied) == 0 {
				applied = []string{"nothing: the schema is up to date"}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "applied %s\n", strings.Join(applied, ", "))
			return err
		},
	}
	to.flags(cmd)
	cmd.Flags().BoolVar(&show, "print", false, "print the statements of all migrations instead")
	cmd.Flags().BoolVar(&check, "check", false, "change nothing, and fail if the schema is not up to date")
	cmd.MarkFlagsMutuallyExclusive("print", "check")
	return cmd
}
