package boltstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// compactBytes is the approximate number of bytes that one transaction of a compaction
// writes.
const compactBytes = 8 << 20

// errNotSmaller ends a compaction that would save nothing.
var errNotSmaller = errors.New("the new file is not smaller")

// Compact rewrites the store in dir without its free space, and returns the size of the
// file in bytes before and after. The store must not be open. Compact verifies the new
// file and then replaces the old one atomically. If the new file would not be smaller, it
// keeps the old one, and after equals before.
//
// The errors are those of [Open]; the file is then unchanged.
func Compact(ctx context.Context, dir string) (before, after int64, err error) {
	path := filepath.Join(dir, fileName)
	if err := inspect(path); err != nil {
		return 0, 0, openError(dir, err)
	}
	old, err := openFile(path)
	if err != nil {
		return 0, 0, openError(dir, err)
	}
	removeTemps(dir) // a killed compaction may have left a file as large as the store
	err = replace(path, true, func(temp string) error {
		if err := copyFile(ctx, temp, old); err != nil {
			return err
		}
		_, err := verify(ctx, temp)
		if err == nil {
			before, after, err = sizes(path, temp)
		}
		if err == nil && after >= before {
			return errNotSmaller
		}
		return err
	})
	if errors.Is(err, errNotSmaller) {
		after, err = before, nil
	}
	if err = errors.Join(err, old.Close()); err != nil {
		return 0, 0, openError(dir, err)
	}
	return before, after, nil
}

func sizes(old, compacted string) (before, after int64, err error) {
	a, err := os.Stat(old)
	if err != nil {
		return 0, 0, err
	}
	b, err := os.Stat(compacted)
	if err != nil {
		return 0, 0, err
	}
	return a.Size(), b.Size(), nil
}

// copyFile writes the state of a store into a new file at path.
func copyFile(ctx context.Context, path string, from *bolt.DB) error {
	to, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: lockWait, NoFreelistSync: true, FreelistType: bolt.FreelistMapType,
		NoSync: true, // copyFile syncs once at the end
	})
	if err != nil {
		return err
	}
	err = from.View(func(tx *bolt.Tx) error {
		return guard(func() error {
			v, err := newView(tx)
			if err != nil {
				return err
			}
			for _, name := range append(v.buckets(), []byte(metaBucket)) {
				if err := copyBucket(ctx, to, name, tx.Bucket(name)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}

func copyBucket(ctx context.Context, to *bolt.DB, name []byte, from *bolt.Bucket) error {
	c := from.Cursor()
	k, row := c.First()
	for begun := false; k != nil || !begun; begun = true {
		err := to.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			b.FillPercent = 1
			for size := 0; k != nil && size < compactBytes; k, row = c.Next() {
				if err := b.Put(k, row); err != nil {
					return err
				}
				size += len(k) + len(row)
			}
			return ended(ctx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
