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

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// migrateCommand is what the command migrate is told.
type migrateCommand struct {
	to                   database
	original             string // the DSN of the original's database; "": none
	print, check, dryRun bool
	above                int64 // the generation above which a new epoch begins; 0: none does
	options              mysqlstore.ImportOptions
}

func newMigrate() *cobra.Command {
	var c migrateCommand
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make the schema in a MySQL-compatible database, or bring it up to date",
		Long: `Make the schema in a MySQL-compatible database, or bring it up to date.

Several at once do no harm: one does the work. --print needs no database: it writes the
statements, for a review, or for someone with the rights to run them by hand.

--from-gdiamond imports, after that, the configurations of an original gdiamond from its
table config_info, which stays as it is. Where the name or the size of any is not possible
here, all such are listed and nothing is imported, unless --skip leaves them out. Keys that
have a value here already are left alone, so it can be run again.

--above begins a new epoch, above the generation given. It is for a database that was
restored while no server had a copy of it, so that no server can know what clients have
seen: servers log the generation that clients wait for.`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	c.to.flags(cmd)
	cmd.Flags().BoolVar(&c.print, "print", false, "print the statements of all migrations instead")
	cmd.Flags().BoolVar(&c.check, "check", false, "change nothing, and fail if the schema is not up to date")
	cmd.Flags().StringVar(&c.original, "from-gdiamond", "", "import the table config_info of the original gdiamond's database, a `DSN`")
	cmd.Flags().BoolVar(&c.options.Skip, "skip", false, "import the rest where some cannot be imported")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "say what would be done, and write nothing, no tables either")
	cmd.Flags().Int64Var(&c.above, "above", 0, "begin a new epoch above this `GENERATION`, after a restore of which no server can know")
	secret(cmd.Flags(), "from-gdiamond")
	cmd.MarkFlagsMutuallyExclusive("print", "check", "from-gdiamond", "above")
	cmd.MarkFlagsMutuallyExclusive("print", "check", "dry-run") // neither writes anything
	cmd.MarkFlagsMutuallyExclusive("above", "dry-run")
	return cmd
}

func (c *migrateCommand) run(cmd *cobra.Command) (err error) {
	if c.options.Skip && c.original == "" {
		return usageError{errors.New("skip: it is about what --from-gdiamond imports, which is not given")}
	}
	if err := checkAbove(c.above); err != nil {
		return err
	}
	if c.print {
		return mysqlstore.Print(cmd.OutOrStdout())
	}
	if c.original != "" { // before the schema is made
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

// checkAbove refuses a generation above which none can begin; 0: none is given.
func checkAbove(generation int64) error {
	if generation < 0 || generation > storage.MaxAbove {
		return usageError{fmt.Errorf("above: %d, not from 1 to %d", generation, int64(storage.MaxAbove))}
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
	page, err := store.Scan(cmd.Context(), diamond.ScanRequest{Limit: 1})
	if err != nil {
		return err
	}
	if have := page.Position.Epoch.Generation; have > generation {
		return fmt.Errorf("above: the database is of generation %d already", have)
	}
	lost := storage.Restored(page.Position, generation)
	at, err := store.Fork(cmd.Context(), lost)
	if err != nil {
		return err
	}
	if at.Revision <= lost.Revision {
		return fmt.Errorf("above: somebody else has begun generation %d meanwhile", at.Epoch.Generation)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "generation %d begins at revision %d\n", at.Epoch.Generation, at.Revision)
	return nil
}

// upToDate fails where the schema lacks a migration.
func upToDate(ctx context.Context, db *sql.DB) error {
	pending, err := mysqlstore.Pending(ctx, db)
	if err == nil && len(pending) > 0 {
		err = fmt.Errorf("the schema lacks %s; run `gdiamond migrate`", strings.Join(pending, ", "))
	}
	return err
}

// withOriginal imports what is in the original's database at dsn, or says what
// would be imported.
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
		fmt.Fprintf(w, "left alone, has another value here: %s\n", key)
	}
	fmt.Fprintf(w, "%s %d, there already %d, refused %d\n", verb, r.Imported, r.Present, len(r.Refused))
}
