//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	bolt "go.etcd.io/bbolt"
)

// boltRows are the rows that boltstore writes for one change, with the buckets and lengths found
// in its file.
type boltRows struct {
	log, current, requests []byte // names of buckets
	next                   []byte // the key of the next record in the log
	record, row, request   []byte // values for each bucket
}

// boltRole is a process that writes to a bbolt file with nothing around it.
func boltRole(args []string) error {
	// The options are those of boltstore.
	db, err := bolt.Open(args[0], 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType, InitialMmapSize: 4 << 30})
	if err != nil {
		return err
	}
	defer db.Close()
	var rows boltRows
	if err := db.View(rows.find); err != nil {
		return err
	}
	return obey(rows.String(), map[string]func(command) (any, error){
		"run": func(c command) (any, error) { return rows.write(db, c.N, c.Entries, c.For) },
	})
}

// find looks up the buckets of a store made by fill, and the last row of each.
func (r *boltRows) find(tx *bolt.Tx) error {
	for _, b := range []struct {
		prefix      string
		name, value *[]byte
	}{{"log.", &r.log, &r.record}, {"current.", &r.current, &r.row}, {"requests.", &r.requests, &r.request}} {
		name, _ := tx.Cursor().Seek([]byte(b.prefix))
		if !bytes.HasPrefix(name, []byte(b.prefix)) {
			return fmt.Errorf("no bucket %s*", b.prefix)
		}
		*b.name = bytes.Clone(name)
		key, value := tx.Bucket(name).Cursor().Last()
		*b.value = bytes.Clone(value)
		if b.name == &r.log {
			r.next = bytes.Clone(key)
		}
	}
	return nil
}

// String returns the sizes of the rows' keys and values in bytes.
func (r *boltRows) String() string {
	return fmt.Sprintf("log %d+%d, current %d+%d, requests 32+%d bytes",
		len(r.next), len(r.record), len(keyRow(0)), len(r.row), len(r.request))
}

// write commits the given number of changes at a time for a while, and returns the number of all
// changes.
func (r *boltRows) write(db *bolt.DB, together, entries int, length time.Duration) (changes int, err error) {
	for begun := time.Now(); time.Since(begun) < length; changes += together {
		err := db.Update(func(tx *bolt.Tx) error {
			for range together {
				if err := r.put(tx, entries); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return changes, nil
}

// put writes the rows of one change of a random entry.
func (r *boltRows) put(tx *bolt.Tx, entries int) error {
	r.next = bytes.Clone(r.next) // bbolt keeps the key that it is given
	binary.BigEndian.PutUint64(r.next, binary.BigEndian.Uint64(r.next)+1)
	if err := tx.Bucket(r.log).Put(r.next, r.record); err != nil {
		return err
	}
	if err := tx.Bucket(r.current).Put(keyRow(mathrand.IntN(entries)), r.row); err != nil {
		return err
	}
	request := make([]byte, 32)
	rand.Read(request)
	return tx.Bucket(r.requests).Put(request, r.request)
}

// keyRow is the key of entry i's row in the current view.
func keyRow(i int) []byte {
	k := keyOf(i)
	return []byte(k.Namespace + "\x00" + k.Group + "\x00" + k.DataID)
}
