package main

import (
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// logging has the log flag of the commands that run servers.
type logging struct{ level slog.Level }

func (l *logging) flags(cmd *cobra.Command) {
	cmd.Flags().TextVar(&l.level, "log-level", slog.LevelInfo, "lowest `LEVEL` to log: debug, info, warn or error")
}

// logger returns a logger to w that writes text to a terminal and JSON otherwise. It
// ignores SIGPIPE, so that a server outlives the readers of its log.
func (l *logging) logger(w io.Writer) *slog.Logger {
	signal.Ignore(syscall.SIGPIPE)
	options := &slog.HandlerOptions{Level: l.level, ReplaceAttr: readable}
	if isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// readable makes JSON show durations as text, not as nanoseconds.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
