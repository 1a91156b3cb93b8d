package localfile

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/atomicfile"
)

// maxSnapshot is the largest size of a snapshot file, in bytes.
const maxSnapshot = 1 << 30

// Load returns the snapshot of key in slot. The error is ErrNotFound if there is none, and
// ErrCorrupt if the snapshot was damaged or belongs to another key; it has then been set
// aside. The error is ErrOtherStore if the snapshot is of a store other than that of the
// last Save, and ErrInvalid if the key or slot is invalid.
func (d *Dir) Load(key conf.Key, slot conf.Slot) (conf.Snapshot, error) {
	key, err := check("load", key, slot)
	if err != nil {
		return conf.Snapshot{}, err
	}
	var s conf.Snapshot
	err = d.in(false, func(root *os.Root) error {
		s, err = d.load(root, key, slot)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return conf.Snapshot{}, &conf.Error{Op: "load snapshot", Key: key, Err: conf.ErrNotFound}
	}
	if err != nil {
		return conf.Snapshot{}, fileError("load snapshot of "+key.String(), err)
	}
	return s, nil
}

func (d *Dir) load(root *os.Root, key conf.Key, slot conf.Slot) (conf.Snapshot, error) {
	name := path.Join(snapshotDir, fileName(key, slot))
	b, err := atomicfile.Read(root, name, maxSnapshot)
	if err != nil && !unusable(err) {
		return conf.Snapshot{}, err
	}
	var gotSlot conf.Slot
	var s conf.Snapshot
	if err == nil {
		gotSlot, s, err = decode(b)
	}
	if err == nil && (s.Entry.Key != key || gotSlot != slot) {
		err = errors.New("it belongs to another key or slot")
	}
	if err != nil {
		return conf.Snapshot{}, errors.Join(
			&conf.Error{Op: "load snapshot", Key: key, Err: conf.ErrCorrupt, Detail: err.Error()},
			d.setAside(root, name, err.Error()))
	}
	store, err := d.readID(root, storeIDFile)
	if err != nil {
		return conf.Snapshot{}, err
	}
	if got := storeID(s); got != "" && store != "" && got != store {
		return conf.Snapshot{}, &conf.Error{Op: "load snapshot", Key: key, Err: conf.ErrOtherStore,
			Detail: "it is of store " + got + "; the directory is of " + store}
	}
	return s, nil
}

// Save replaces a snapshot atomically and durably. It computes the entry's MD5 and Size from
// its content. Of a deletion it keeps only Key, Revision and View. The directory then belongs
// to the store of this snapshot.
//
// The error is ErrNoSpace if the disk is full or read-only; the old snapshot is then
// unchanged. It is ErrTooLarge if the file would be larger than 1 GiB, and ErrInvalid if the
// key or slot is invalid.
func (d *Dir) Save(slot conf.Slot, s conf.Snapshot) error {
	key, err := check("save", s.Entry.Key, slot)
	if err != nil {
		return err
	}
	s.Entry.Key = key
	b, err := encode(slot, s)
	if err != nil {
		return err
	}
	if len(b) > maxSnapshot {
		return conf.Errorf(conf.ErrTooLarge, "snapshot: %d bytes, more than %d", len(b), maxSnapshot)
	}
	err = d.in(true, func(root *os.Root) error {
		// The store goes first: a crash in between hides older snapshots, but never returns
		// a snapshot of another store.
		if err := d.bind(root, storeID(s)); err != nil {
			return err
		}
		name := path.Join(snapshotDir, fileName(key, slot))
		if info, err := root.Lstat(name); err == nil && !info.Mode().IsRegular() {
			if err := d.setAside(root, name, "it is not a regular file"); err != nil {
				return err
			}
		}
		return atomicfile.Write(root, name, b, fileMode)
	})
	return fileError("save snapshot of "+key.String(), err)
}

// bind makes the directory belong to store.
func (d *Dir) bind(root *os.Root, store string) error {
	if store == "" {
		return nil
	}
	bound, err := d.readID(root, storeIDFile)
	if err != nil || bound == store {
		return err
	}
	if bound != "" {
		d.logger.Warn("the directory of local files now belongs to another store", "dir", d.path, "store", store, "before", bound)
	}
	return atomicfile.Write(root, storeIDFile, []byte(store+"\n"), fileMode)
}

// storeID returns the id of the store of s, or "" if s does not have one.
func storeID(s conf.Snapshot) string {
	if s.Position.Store == (conf.StoreID{}) {
		return ""
	}
	return hex.EncodeToString(s.Position.Store[:])
}

// Remove durably removes both snapshots of key, if they exist.
func (d *Dir) Remove(key conf.Key) error {
	key, err := check("remove", key, conf.SlotFetched)
	if err != nil {
		return err
	}
	err = d.in(false, func(root *os.Root) error {
		return errors.Join(
			atomicfile.Remove(root, path.Join(snapshotDir, fileName(key, conf.SlotFetched))),
			atomicfile.Remove(root, path.Join(snapshotDir, fileName(key, conf.SlotLastGood))),
		)
	})
	return fileError("remove snapshots of "+key.String(), err)
}

// check returns the canonical key if key and slot are valid. Nothing else becomes a file
// name.
func check(op string, key conf.Key, slot conf.Slot) (conf.Key, error) {
	key = key.Canonical()
	if err := key.Validate(); err != nil {
		return key, err
	}
	if slotName(slot) == "" {
		return key, &conf.Error{Op: op + " snapshot", Key: key, Err: conf.ErrInvalid, Detail: "no such slot"}
	}
	return key, nil
}
