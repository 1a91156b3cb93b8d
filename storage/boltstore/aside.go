package boltstore

import (
	"os"
	"path/filepath"
)

// damagedName is where the file of a damaged store is set aside.
const damagedName = fileName + ".damaged"

// SetAside moves the file of the store in dir out of the way, within dir, so that
// [Open] begins a new one, and returns where it is now. One that was set aside
// before is replaced: there is never more than one.
//
// It is for a copy of which Open says that it is damaged, where what it was copied
// from has everything. The store must not be open.
func SetAside(dir string) (aside string, err error) {
	aside = filepath.Join(dir, damagedName)
	return aside, os.Rename(filepath.Join(dir, fileName), aside)
}
