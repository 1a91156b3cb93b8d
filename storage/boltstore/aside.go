package boltstore

import (
	"os"
	"path/filepath"
)

// damagedName is the name under which a damaged store's file is set aside.
const damagedName = fileName + ".damaged"

// SetAside renames the file of the store in dir, so that [Open] creates a new one, and
// returns the new path in dir. It replaces a file that was set aside before.
//
// It is for a damaged copy whose original has everything. The store must not be open.
func SetAside(dir string) (aside string, err error) {
	aside = filepath.Join(dir, damagedName)
	return aside, os.Rename(filepath.Join(dir, fileName), aside)
}
