package main

import (
	"errors"
	"math"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/storage"
)

// keepAll is the retention of commands that open a store for a short time. They remove
// nothing; the store's server does.
var keepAll = storage.Retention{Changes: math.MaxInt}

// retentionFlags declares the flags for the history that a server keeps.
func retentionFlags(cmd *cobra.Command, r *storage.Retention) {
	f := cmd.Flags()
	f.DurationVar(&r.Age, "history-age", storage.DefaultAge, "keep each change for at least this long")
	f.IntVar(&r.Changes, "history-changes", storage.DefaultChanges, "keep at least this many changes, however old")
	f.IntVar(&r.Versions, "history-versions", storage.DefaultVersions, "keep at least this many versions of each key, including its value")
	f.Int64Var(&r.Bytes, "history-bytes", 0, "keep changes with at most about this many bytes of content, however recent (0: no limit)")
}

// checkRetention refuses values that the storage would take for its defaults.
func checkRetention(r storage.Retention) error {
	switch {
	case r.Age <= 0:
		return usageError{errors.New("history-age: give a duration above 0, such as 720h")}
	case r.Changes <= 0:
		return usageError{errors.New("history-changes: give a number above 0")}
	case r.Versions <= 0:
		return usageError{errors.New("history-versions: give a number above 0")}
	case r.Bytes < 0:
		return usageError{errors.New("history-bytes: give a number above 0, or 0 for no limit")}
	}
	return nil
}
