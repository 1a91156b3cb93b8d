package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// migrateCommand has the flags of the command migrate.
type migrateCommand struct {
	to                   database
	original             string // the DSN of the original's database, or ""
	print, check, dryRun bool
	above                int64 // begin a new epoch above this generation, or 0 for none
	options              mysqlstore.ImportOptions
}

func newMigrate() *cobra.Command {
	var c migrateCommand
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create or update the schema in a MySQL-compatible database",
		Long: `Create or update the schema in a MySQL-compatible database.

Several instances may run at once: one of them does the work. --print needs no database. It
writes the statements, for review or for somebody with the rights to run them by hand.

--from-gdiamond then imports the configurations of an original gdiamond from its table
config_info, which is not changed. If the name or size of a configuration is invalid here,
all such configurations are listed and nothing is imported, unless --skip leaves them out.
Keys that already have a value here are not changed, so you can run the import again.

--above begins a new epoch above the given generation. Use it for a database that was
restored while no server had a copy of it, so that no server knows what clients have seen.
Servers log the generation that clients wait for.`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	c.to.flags(cmd)
	cmd.Flags().BoolVar(&c.print, "print", false, "print the statements of all migrations instead")
	cmd.Flags().BoolVar(&c.check, "check", false, "change nothing, and fail if the schema is not up to date")
	cmd.Flags().StringVar(&c.original, "from-gdiamond", "", "import the table config_info of an original gdiamond's database at `DSN`")
	cmd.Flags().BoolVar(&c.options.Skip, "skip", false, "leave out configurations that cannot be imported, and import the rest")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "print what would be done, and write nothing")
	cmd.Flags().Int64Var(&c.above, "above", 0, "begin a new epoch above this `GENERATION`, after a restore that no server can detect")
	secret(cmd.Flags(), "from-gdiamond")
	cmd.MarkFlagsMutuallyExclusive("print", "check", "from-gdiamond", "above")
	cmd.MarkFlagsMutuallyExclusive("print", "check", "dry-run") // neither writes anything
	cmd.MarkFlagsMutuallyExclusive("above", "dry-run")
	return cmd
}

func (c *migrateCommand) run(cmd *cobra.Command) (err error) {
	if c.options.Skip && c.original == "" {
		return usageError{errors.New("skip: needs --from-gdiamond")}
	}
	if err := checkAbove(c.above); err != nil {
		return err
	}
	if c.print {
		return mysqlstore.Print(cmd.OutOrStdout())
	}
	if c.original != "" { // before the schema is created
		if _, err := parseDSN("from-gdiamond", c.original); err != nil {
			return err
		}
	}
	db, err := c.to.connect(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if c.check {
		return upToDate(cmd.Context(), db)
	}
	verb, bring := "applied", mysqlstore.Migrate
	if c.dryRun {
		verb, bring = "would apply", mysqlstore.Pending
	}
	applied, err := bring(cmd.Context(), db)
	if err != nil {
		return err
	}
	if len(applied) == 0 {
		applied = []string{"nothing: the schema is up to date"}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", verb, strings.Join(applied, ", "))
	if c.above > 0 {
		return beginAbove(cmd, db, c.above)
	}
	if c.original == "" {
		return nil
	}
	return withOriginal(cmd, c.original, db, c.options, c.dryRun)
}

// checkAbove refuses a generation above which no epoch can begin. 0 means that none is
// given.
func checkAbove(generation int64) error {
	if generation < 0 || generation > storage.MaxAbove {
		return usageError{fmt.Errorf("above: %d is not between 1 and %d", generation, int64(storage.MaxAbove))}
	}
	return nil
}

// beginAbove begins a new epoch above a generation, and above the revisions that
// may have been lost.
func beginAbove(cmd *cobra.Command, db *sql.DB, generation int64) (err error) {
	logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	store, err := mysqlstore.New(cmd.Context(), db, mysqlstore.WithRetention(keepAll), mysqlstore.WithLogger(logger))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	page, err := store.Scan(cmd.Context(), conf.ScanRequest{Limit: 1})
	if err != nil {
		return err
	}
	if have := page.Position.Epoch.Generation; have > generation {
		return fmt.Errorf("above: the database has generation %d already; give no lower number", have)
	}
	lost := storage.Restored(page.Position, generation)
	at, err := store.Fork(cmd.Context(), lost)
	if err != nil {
		return err
	}
	if at.Revision <= lost.Revision {
		return fmt.Errorf("above: another process has just begun generation %d", at.Epoch.Generation)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "generation %d begins at revision %d\n", at.Epoch.Generation, at.Revision)
	return nil
}

// upToDate fails if the schema lacks a migration.
func upToDate(ctx context.Context, db *sql.DB) error {
	pending, err := mysqlstore.Pending(ctx, db)
	if err == nil && len(pending) > 0 {
		err = fmt.Errorf("the schema lacks %s; run `gdiamond migrate`", strings.Join(pending, ", "))
	}
	return err
}

// withOriginal imports the original's database at dsn, or prints what it would import.
func withOriginal(cmd *cobra.Command, dsn string, to *sql.DB, options mysqlstore.ImportOptions, dryRun bool) (err error) {
	logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	from, err := mysqlstore.OpenDB(dsn, logger)
	if err != nil {
		return fmt.Errorf("from-gdiamond: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	var report *mysqlstore.ImportReport
	verb := "imported"
	if dryRun {
		verb = "would import"
		report, err = mysqlstore.PlanImport(cmd.Context(), from, to, options)
	} else {
		report, err = importOriginal(cmd.Context(), from, to, options, logger)
	}
	if report != nil {
		writeImport(cmd.OutOrStdout(), report, verb)
	}
	return err
}

func importOriginal(ctx context.Context, from, to *sql.DB, options mysqlstore.ImportOptions, logger *slog.Logger) (report *mysqlstore.ImportReport, err error) {
	store, err := mysqlstore.New(ctx, to, mysqlstore.WithRetention(keepAll), mysqlstore.WithLogger(logger))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return mysqlstore.ImportOriginal(ctx, from, store, options)
}

func writeImport(w io.Writer, r *mysqlstore.ImportReport, verb string) {
	for _, row := range r.Refused {
		fmt.Fprintf(w, "cannot be imported: row %d, dataId %+q, group %+q: %v\n", row.ID, row.DataID, row.Group, row.Err)
	}
	for _, key := range r.Differ {
		fmt.Fprintf(w, "not changed, has another value here: %s\n", key)
	}
	fmt.Fprintf(w, "%s %d, already present %d, refused %d\n", verb, r.Imported, r.Present, len(r.Refused))
}
