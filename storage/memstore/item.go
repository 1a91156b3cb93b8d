package memstore

import (
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
	for i := range it.versions {
		if it.versions[i].change.Revision == revision {
			return &it.versions[i]
		}
	}
	return nil
}

// add inserts a change by its revision: at the end, unless Install has added a newer
// version already. The change replaces the same version from Install, which has less
// information.
func (it *item) add(c *conf.Change) {
	if same := it.at(c.Revision); same != nil {
		*same = version{change: c}
		return
	}
	i := len(it.versions)
	for i > 0 && it.versions[i-1].change.Revision > c.Revision {
		i--
	}
	it.versions = slices.Insert(it.versions, i, version{change: c})
	it.count++
}
