package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

func newBackup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR FILE|-",
		Short: "Copy the store in a data directory to a file, even while a server runs on it",
		Long: `Copy the store in a data directory to a new file, or to standard output.

If a server runs on the directory, the server makes the copy, as of one moment, and keeps
serving. Otherwise the store is verified first, and only read. A written FILE is verified in
the same way as by restore, and removed if it is damaged. Standard output is not verified.
The copy is not encrypted.`,
		Args: arguments(2, 2, "a DIR, and a FILE or - for standard output"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkDir("DIR", args[0]); err != nil {
				return err
			}
			if args[1] == "-" {
				return backup(cmd.Context(), args[0], cmd.OutOrStdout())
			}
			return writeNew(args[1], func(file *os.File) error { return verifiedBackup(cmd.Context(), args[0], file) })
		},
	}
}

// checkDir refuses an empty directory, such as that of an unset variable. name is the
// argument or flag.
func checkDir(name, dir string) error {
	if dir == "" {
		return usageError{fmt.Errorf("%s: is empty; give the directory of the store", name)}
	}
	return nil
}

// backup copies the store in dir to w.
func backup(ctx context.Context, dir string, w io.Writer) (err error) {
	_, err = boltstore.Check(ctx, dir)
	if errors.Is(err, diamond.ErrInUse) {
		return backupRunning(ctx, dir, w)
	}
	if err != nil {
		return err
	}
	store, err := boltstore.Open(dir, boltstore.WithReadOnly())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return store.Backup(ctx, w)
}

// verifiedBackup writes a backup to a file, and verifies that it can be restored.
func verifiedBackup(ctx context.Context, dir string, file *os.File) error {
	if err := backup(ctx, dir, file); err != nil {
		return err
	}
	_, err := boltstore.CheckBackup(ctx, file.Name())
	if errors.Is(err, diamond.ErrCorrupt) {
		return fmt.Errorf("%w; the backup was removed: if the disk of the file is sound, the store in %s is damaged; "+
			"stop its server and run `gdiamond check %[2]s`", err, dir)
	}
	return err
}

// writeNew creates a new file, and removes it if write fails.
func writeNew(name string, write func(*os.File) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

func newRestore() *cobra.Command {
	var above int64
	cmd := &cobra.Command{
		Use:   "restore FILE|- DIR",
		Short: "Create a data directory from a backup",
		Long: `Verify a backup and create a data directory from it.

Changes published after the backup are lost. So the store begins a new epoch, by which
servers and clients that have seen these changes detect the loss and adopt the restored
state. The number of the epoch, its generation, is the time, so that of two restores of one
backup the second one is newer. If the clock is wrong, or was wrong at an earlier restore,
give --above with the highest generation that anybody has seen. restore prints the
generation, and servers log it when a client knows a newer one than they have.`,
		Args: arguments(2, 2, "a FILE or - for standard input, and a DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkDir("DIR", args[1]); err != nil {
				return err
			}
			var opts []boltstore.RestoreOption
			if err := checkAbove(above); err != nil {
				return err
			}
			if above > 0 {
				opts = append(opts, boltstore.WithGenerationAbove(above))
			}
			in, err := input(cmd.Context(), cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			position, err := boltstore.Restore(cmd.Context(), args[1], in, opts...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "restored %s, revision %d, generation %d\n",
				args[1], position.Revision, position.Epoch.Generation)
			return err
		},
	}
	cmd.Flags().Int64Var(&above, "above", 0, "begin the new epoch above this `GENERATION` (default by the clock)")
	return cmd
}

func newCompact() *cobra.Command {
	return &cobra.Command{
		Use:   "compact DIR",
		Short: "Return the free space in a store's file to the disk; no server may run on it",
		Args:  arguments(1, 1, "a DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkDir("DIR", args[0]); err != nil {
				return err
			}
			before, after, err := boltstore.Compact(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if after == before {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "kept %s unchanged: a new file would not be smaller than %d bytes\n", args[0], before)
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "compacted %s from %d to %d bytes\n", args[0], before, after)
			return err
		},
	}
}

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR|FILE",
		Short: "Verify a whole store or backup: its file, its chain and every content",
		Long: `Verify the whole store in a data directory, or a backup in a file: its pages, its chain
and every content. No server may run on the store.`,
		Args: arguments(1, 1, "a DIR or a FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkDir("DIR", args[0]); err != nil {
				return err
			}
			verify := boltstore.Check
			if info, err := os.Stat(args[0]); err == nil && info.Mode().IsRegular() {
				verify = boltstore.CheckBackup
			}
			report, err := verify(cmd.Context(), args[0])
			if err == nil || len(report.Problems) > 0 {
				fmt.Fprint(cmd.OutOrStdout(), report)
			}
			return err
		},
	}
}
