package memstore

import (
	"cmp"
	"slices"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// item has the versions of one key, oldest first. The newest is the current value or a
// tombstone. A nil item is a key that never existed.
type item struct {
	versions []version
	count    int64 // of all versions, including removed ones
}

type version struct {
	change    *conf.Change
	installed bool // came from Install; the change itself may follow
}

func (it *item) newest() version { return it.versions[len(it.versions)-1] }

// revision returns the revision of the current value, or 0 if there is none.
func (it *item) revision() int64 {
	if it == nil || len(it.versions) == 0 || it.newest().change.Op != conf.OpPublish {
		return 0
	}
	return it.newest().change.Revision
}

// current describes the current value. It is zero if there is none.
func (it *item) current() storage.Current {
	if it.revision() == 0 {
		return storage.Current{}
	}
	c := it.newest().change
	return storage.Current{Revision: c.Revision, Type: c.Type, Meta: c.Meta}
}

// at returns the version with exactly this revision, or nil if there is none.
func (it *item) at(revision int64) *version {
	if it == nil {
		return nil
	}
	if i, found := it.place(revision); found {
		return &it.versions[i]
	}
	return nil
}

// place returns the index of the version with exactly this revision, or where it would be.
// The log may hold very many versions of one key.
func (it *item) place(revision int64) (i int, found bool) {
	return slices.BinarySearchFunc(it.versions, revision, func(v version, revision int64) int {
		return cmp.Compare(v.change.Revision, revision)
	})
}

// add inserts a change by its revision: at the end, unless Install has added a newer
// version already. The change replaces the same version from Install, which has less
// information.
func (it *item) add(c *conf.Change) {
	i, found := it.place(c.Revision)
	if found {
		it.versions[i] = version{change: c}
		return
	}
	it.versions = slices.Insert(it.versions, i, version{change: c})
	it.count++
}
