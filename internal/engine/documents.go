package engine

import (
	"context"
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// fewDocuments is the number of entries up to which each is read by itself. More are read
// with a scan.
const fewDocuments = 16

// documents reads the entries of system keys for the observers: from memory, else from the
// replica, else from the storage.
type documents struct {
	replica *replica // or nil if none is kept
	storage reader
}

// reading returns a function that returns the entries of records, which are in key order, as
// the changes that published them.
func (d documents) reading(ctx context.Context) func([]*record) ([]conf.Change, error) {
	return func(records []*record) ([]conf.Change, error) { return d.read(ctx, records) }
}

// forReset returns what the observers have to be told after a reset to records, or nil if
// there are no observers.
func (d documents) forReset(ctx context.Context, observers *observers, records []*record) (*[]conf.Change, error) {
	if !observers.some() {
		return nil, nil
	}
	changes, err := d.read(ctx, records)
	if err != nil {
		return nil, err
	}
	return &changes, nil
}

func (d documents) read(ctx context.Context, records []*record) ([]conf.Change, error) {
	ctx = conf.ReadForFeed(ctx)
	changes := make([]conf.Change, len(records))
	var lacking []int
	for i, r := range records {
		if h := r.cached.Load(); h != nil && r.standsFor(&h.entry) && r.verify(&h.entry) == nil {
			changes[i] = changeOf(&h.entry)
		} else {
			lacking = append(lacking, i)
		}
	}
	if d.replica != nil && !d.replica.damaged.Load() && readInto(ctx, reader{d.replica.local}, changes, records, lacking) == nil {
		return changes, nil
	}
	return changes, readInto(ctx, d.storage, changes, records, lacking)
}

// readInto reads the entries of those records whose places are lacking.
func readInto(ctx context.Context, from reader, changes []conf.Change, records []*record, lacking []int) error {
	if len(lacking) <= fewDocuments {
		for _, i := range lacking {
			e, err := from.version(ctx, records[i])
			if err != nil {
				return err
			}
			full := records[i].Entry
			full.Content = e.Content
			changes[i] = changeOf(&full)
		}
		return nil
	}
	for first := 0; first < len(records); {
		namespace, end := records[first].Key.Namespace, first
		for end < len(records) && records[end].Key.Namespace == namespace {
			end++
		}
		i := first
		for e, err := range from.entries(ctx, namespace, records[first:end]) {
			if err != nil {
				return err
			}
			changes[i] = changeOf(&e)
			i++
		}
		first = end
	}
	return nil
}

// withRecord returns records, which are in key order and not tombstones, with r instead of
// the one of key. R may be nil or a tombstone.
func withRecord(records []*record, key conf.Key, r *record) []*record {
	i, found := slices.BinarySearchFunc(records, key, func(o *record, k conf.Key) int { return o.Key.Compare(k) })
	if found {
		records = slices.Delete(records, i, i+1)
	}
	if !r.absent() {
		records = slices.Insert(records, i, r)
	}
	return records
}
