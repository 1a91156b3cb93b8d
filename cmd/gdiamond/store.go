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
		Short: "Copy the store in a data directory to a file, also while a server runs on it",
		Long: `Copy the store in a data directory to a new file, or to the standard output.

While a server runs on the directory, the server makes the copy, as of one moment, and
goes on meanwhile. Else the store is verified first, and only read. A FILE is verified when
it is written, as restore does it, and removed where it is damaged. What goes to the
standard output is not. The copy holds contents in the clear.`,
		Args: arguments(2, 2, "a DIR, and a FILE or - for the standard output"),
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

// checkDir refuses an empty name, as of a variable that is not set, for the
// directory that name asks for.
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

// verifiedBackup is backup to a file that can be restored.
func verifiedBackup(ctx context.Context, dir string, file *os.File) error {
	if err := backup(ctx, dir, file); err != nil {
		return err
	}
	_, err := boltstore.CheckBackup(ctx, file.Name())
	if errors.Is(err, diamond.ErrCorrupt) {
		return fmt.Errorf("%w; so no backup is left: where the disk of the file is sound, the store in %s is damaged, "+
			"and `gdiamond check %[2]s` says how, once its server is stopped", err, dir)
	}
	return err
}

// writeNew makes a file that was not there, and leaves none when write fails.
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
		Short: "Make a data directory from a backup",
		Long: `Make a data directory from a backup, which is verified.

What was published after the backup is lost. So the store begins a new epoch, by which
servers and clients that have seen more find that out and take its state. The number of
that epoch, its generation, is the time, so that of two restores of one backup the second
is the newer. Where the clock is wrong now, or was at a restore before, --above says it:
the highest generation that anybody has seen, which restore has printed and servers log
when a client knows a newer one than theirs.`,
		Args: arguments(2, 2, "a FILE or - for the standard input, and a DIR"),
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
	cmd.Flags().Int64Var(&above, "above", 0, "go on above this `GENERATION`, whatever the clock says (default the clock decides)")
	return cmd
}

func newCompact() *cobra.Command {
	return &cobra.Command{
		Use:   "compact DIR",
		Short: "Give the free space in a store's file back to the disk; no server may run on it",
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
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "kept %s as it is: %d bytes, and a new file would have no fewer\n", args[0], before)
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
		Short: "Verify all of a store, or of a backup: its file, its chain, every content",
		Long: `Verify all of the store in a data directory, or of a backup in a file: its pages, its
chain, every content. No server may run on the store.`,
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
