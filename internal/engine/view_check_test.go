package engine

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// onePage is a storage, or a replica, of one entry at a position.
type onePage struct {
	ReplicaStorage
	at    conf.Position
	entry *conf.Entry // nil if it has none
	err   error       // of Read
}

func (o *onePage) Scan(context.Context, conf.ScanRequest) (conf.Page, error) {
	page := conf.Page{Position: o.at}
	if o.entry != nil {
		page.Entries = []conf.Entry{*o.entry}
	}
	return page, nil
}

func (o *onePage) Read(context.Context, conf.Key, int64) (conf.Entry, error) {
	if o.err != nil {
		return conf.Entry{}, o.err
	}
	e := *o.entry
	e.Content = "x"
	return e, nil
}

// servedOf returns what a server that is at a revision holds.
func servedOf(revision int64, records ...*record) (*served, *state) {
	s := newServed(slog.New(slog.DiscardHandler), newContents(1<<20, nil))
	st := stateOf(revision, records...)
	s.state.Store(st)
	return s, st
}

// The self-check takes a record for newer than a page by its View, and compares it.
func TestView_SelfCheck(t *testing.T) {
	key := conf.NewKey("", "k")
	s, st := servedOf(9, viewed("k", 3, 7))
	c := &checker{served: s}
	page := st.position
	assert.False(t, c.differs(st, page, key, &viewed("k", 3, 7).Entry))
	assert.True(t, c.differs(st, page, key, &viewed("k", 3, 8).Entry))
	assert.True(t, c.differs(st, page, key, &viewed("k", 3, 3).Entry))
	assert.True(t, c.differs(st, page, key, nil))
	page.Revision = 6
	assert.False(t, c.differs(st, page, key, &viewed("k", 3, 3).Entry), "a change since the page explains it")
	assert.False(t, c.differs(st, page, key, nil))

	ahead, st := servedOf(9, viewed("k", 3, 12))
	c.served = ahead
	assert.True(t, c.differs(st, st.position, key, &viewed("k", 3, 3).Entry), "a View that the server has not reached is damage")
}

// What the storage no longer has is damage, unless another View was chosen meanwhile.
func TestView_VerifyStored(t *testing.T) {
	s, _ := servedOf(9, viewed("k", 3, 7))
	v := &verifier{served: s, reader: reader{&onePage{err: conf.Errorf(conf.ErrCompacted, "gone")}}}
	require.ErrorIs(t, v.verifyStored(t.Context(), viewed("k", 3, 7)), conf.ErrCorrupt)
	require.NoError(t, v.verifyStored(t.Context(), viewed("k", 3, 5)))
}

// The replica differs by the View, and only once it has reached it.
func TestView_DiffersInReplica(t *testing.T) {
	key := conf.NewKey("", "k")
	gone := viewed("k", 3, 7)
	gone.deleted = true
	for name, c := range map[string]struct {
		record  *record
		at      int64 // of the replica
		entry   *record
		differs bool
	}{
		"the same":            {viewed("k", 3, 7), 9, viewed("k", 3, 7), false},
		"another View":        {viewed("k", 3, 7), 9, viewed("k", 3, 3), true},
		"not reached yet":     {viewed("k", 3, 7), 6, viewed("k", 3, 3), false},
		"reached":             {viewed("k", 3, 7), 7, viewed("k", 3, 3), true},
		"deleted":             {gone, 9, viewed("k", 3, 3), true},
		"published since":     {gone, 9, viewed("k", 3, 12), false},
		"deleted and reached": {gone, 8, viewed("k", 3, 3), false},
	} {
		s, st := servedOf(9, c.record)
		local := &onePage{at: st.position, entry: &c.entry.Entry}
		local.at.Revision = c.at
		checks := &checker{served: s, replica: &replica{local: local}}
		_, differs, err := checks.differsInReplica(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, c.differs, differs, name)
	}
}

// A replica with an entry whose View is above its position was not completed.
func TestView_ServeReplica(t *testing.T) {
	local := &onePage{entry: &viewed("k", 3, 7).Entry}
	local.at = conf.Position{Store: conf.StoreID{1}, Epoch: conf.Epoch{Generation: 1}, Revision: 6}
	f := &feed{store: local.at.Store, replica: newReplica(local, slog.New(slog.DiscardHandler))}
	err := f.serveReplica(t.Context(), local.at)
	require.ErrorIs(t, err, conf.ErrCorrupt)
	require.ErrorContains(t, err, "at revision 6 and holds an entry of 7")
}
