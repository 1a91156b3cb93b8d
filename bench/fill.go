//go:build linux

package main

import (
	"context"
	"fmt"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

// keyOf names entry i of a store that fill made.
func keyOf(i int) diamond.Key { return diamond.NewKey("", fmt.Sprintf("entry-%06d", i)) }

// requestOf names a request, with an id of the length that clients make.
func requestOf(i int) string { return fmt.Sprintf("%032x", i) }

// fill makes a store of so many entries in dir, each published once.
func fill(dir string, entries int) (err error) {
	store, err := boltstore.Open(dir)
	if err != nil {
		return err
	}
	defer func() {
		if e := store.Close(); err == nil {
			err = e
		}
	}()
	return fillStore(store, entries)
}

// fillStore is fill for a store that is open.
func fillStore(store diamond.Storage, entries int) error {
	const together = 1000
	for first := 0; first < entries; first += together {
		var sets []diamond.ChangeSet
		for i := first; i < min(first+together, entries); i++ {
			sets = append(sets, diamond.ChangeSet{
				Drafts:    []diamond.Draft{{Key: keyOf(i), Content: string(content(i))}},
				RequestID: requestOf(i),
			})
		}
		results, err := store.Commit(context.Background(), sets)
		if err != nil {
			return err
		}
		for _, r := range results {
			if r.Err != nil {
				return r.Err
			}
		}
	}
	return nil
}
