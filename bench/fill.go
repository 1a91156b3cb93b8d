//go:build linux

package main

import (
	"context"
	"fmt"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

// keyOf returns the key of entry i of a store made by fill.
func keyOf(i int) diamond.Key { return diamond.NewKey("", fmt.Sprintf("entry-%06d", i)) }

// requestOf returns a request id with the length of clients' ids.
func requestOf(i int) string { return fmt.Sprintf("%032x", i) }

// fill creates a store with the given number of entries in dir, each published once.
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

// fillStore is fill for an open store.
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
