package main

import (
	"errors"
	"math"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/storage"
)

// keepAll is for commands that hold a store for a while: what is to go, the
// server on it decides.
var keepAll = storage.Retention{Changes: math.MaxInt}

// retentionFlags are the flags that say how much history a server keeps.
func retentionFlags(cmd *cobra.Command, r *storage.Retention) {
	f := cmd.Flags()
	f.DurationVar(&r.Age, "history-age", storage.DefaultAge, "keep each change for so long at least")
	f.IntVar(&r.Changes, "history-changes", storage.DefaultChanges, "keep so many changes at least, however old")
	f.IntVar(&r.Versions, "history-versions", storage.DefaultVersions, "keep so many versions of each key at least, its value among them")
	f.Int64Var(&r.Bytes, "history-bytes", 0, "keep changes with about so many bytes of content at most, however young they are (0: no bound)")
}

// checkRetention refuses what would stand for a default that nobody asked for.
func checkRetention(r storage.Retention) error {
	switch {
	case r.Age <= 0:
		return usageError{errors.New("history-age: give a duration above 0, such as 720h")}
	case r.Changes <= 0:
		return usageError{errors.New("history-changes: give a number above 0")}
	case r.Versions <= 0:
		return usageError{errors.New("history-versions: give a number above 0")}
	case r.Bytes < 0:
		return usageError{errors.New("history-bytes: give a number above 0, or 0 for no bound")}
	}
	return nil
}
