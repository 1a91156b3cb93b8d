package memstore

import (
	"slices"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

// item is one key: its versions, oldest first. The newest is its current
// value, or a tombstone. A nil item is a key that never was.
type item struct {
	versions []version
	count    int64 // of versions ever, also those that went
}

type version struct {
	change    *diamond.Change
	installed bool // brought by Install; the change itself may follow
}

func (it *item) newest() version { return it.versions[len(it.versions)-1] }

// revision returns that of the current value, 0 if there is none.
func (it *item) revision() int64 {
	if it == nil || len(it.versions) == 0 || it.newest().change.Op != diamond.OpPublish {
		return 0
	}
	return it.newest().change.Revision
}

// current returns what there is to know of the current value, zero if there is none.
func (it *item) current() storage.Current {
	if it.revision() == 0 {
		return storage.Current{}
	}
	c := it.newest().change
	return storage.Current{Revision: c.Revision, Type: c.Type, Meta: c.Meta}
}

// at returns the version with exactly this revision, nil if there is none.
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

// add puts a change where its revision belongs: at the end, but for one that
// follows a newer version that Install brought. The same version that Install
// brought is replaced, as the change knows more of it.
func (it *item) add(c *diamond.Change) {
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
