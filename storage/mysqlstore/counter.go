package mysqlstore

import (
	"context"
	"database/sql"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// origin is the source of a store's history.
type origin int64

const (
	fresh   origin = iota // there is no history
	copied                // another store, by Apply or Install
	written               // Commit or Fork of this store
)

// mark is a point of the log: a position, and the number of changes and bytes up to it.
type mark struct {
	conf.Position
	changes int64
	bytes   int64 // of content
}

// counter is the one row that all transactions that write lock first.
type counter struct {
	marked  bool // programs of before schema version 2 must not use the store; see storage.Marks
	origin  origin
	head    mark
	horizon mark  // the log begins after it
	ahead   int64 // the highest revision from an installation
}

// markedFormat is the format of a store that is marked. Others have format 1.
const markedFormat = 2

const counterColumns = "store, origin, revision, generation, epoch, chain, log_changes, log_bytes, " +
	"horizon, horizon_generation, horizon_epoch, horizon_chain, horizon_changes, horizon_bytes, ahead"

// fields returns the targets for scanning [counterColumns]. The caller must then call
// filled, which converts the scanned values.
func (c *counter) fields() (fields []any, filled func() error) {
	var store, epoch, horizonEpoch, chain, horizonChain sql.RawBytes
	h, z := &c.head, &c.horizon
	return []any{
			&store, &c.origin, &h.Revision, &h.Epoch.Generation, &epoch, &chain, &h.changes, &h.bytes,
			&z.Revision, &z.Epoch.Generation, &horizonEpoch, &horizonChain, &z.changes, &z.bytes, &c.ahead,
		}, func() error {
			err := storeID(&h.Store, store)
			c.marked = len(store) > len(h.Store)
			z.Store = h.Store
			for dst, src := range map[*mark][2][]byte{h: {epoch, chain}, z: {horizonEpoch, horizonChain}} {
				if err == nil {
					err = fixed(dst.Epoch.ID[:], src[0])
				}
				if err == nil {
					err = fixed(dst.Chain[:], src[1])
				}
			}
			return err
		}
}

// fixed copies src to dst, which must have the same length.
func fixed(dst, src []byte) error {
	if len(src) != len(dst) {
		return conf.Errorf(conf.ErrCorrupt, "a value of %d bytes has %d", len(dst), len(src))
	}
	copy(dst, src)
	return nil
}

// storeID reads the column store of diamond_counter. A marked store has the number of its
// format after its id, which programs of before take for damage.
func storeID(id *conf.StoreID, column []byte) error {
	if n := len(id); len(column) == n+1 {
		if column[n] != markedFormat {
			return conf.Errorf(conf.ErrUnavailable, "the store has format %d, this program knows up to %d: use a newer program", column[n], markedFormat)
		}
		column = column[:n]
	}
	return fixed(id[:], column)
}

// storeColumn returns the value of the column store.
func (c *counter) storeColumn() []byte {
	if id := c.head.Store[:]; !c.marked {
		return id
	}
	return append(c.head.Store[:len(c.head.Store):len(c.head.Store)], markedFormat)
}

// at returns the position of a replica, which is zero if the store is empty.
func (c *counter) at() conf.Position {
	if c.origin == fresh {
		return conf.Position{}
	}
	return c.head.Position
}

// caughtUp refuses to write to a copy that has entries above its head.
func (c *counter) caughtUp() error {
	if c.head.Revision < c.ahead {
		return storage.NotCaughtUp(c.head.Revision, c.ahead)
	}
	return nil
}

// isCopy returns an error if the store is not a copy, so that its history is not
// overwritten.
func (c *counter) isCopy() error {
	if c.origin == written {
		return storage.NotCopy()
	}
	return nil
}

// noCounter is the error for a missing row, as while a dump is loaded. Without the row,
// the store cannot interpret the other tables.
func noCounter() error {
	return conf.Errorf(conf.ErrCorrupt, "the row of diamond_counter is missing")
}

// createCounter creates the row, with a new store id, unless it exists.
func createCounter(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	if err = createCounterOn(ctx, conn); err != nil && useless(err) {
		drop(conn)
	}
	_ = conn.Close() // returns it to the pool, unless it was dropped
	return err
}

func createCounterOn(ctx context.Context, conn *sql.Conn) error {
	var n int
	if err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM diamond_counter WHERE id = 1").Scan(&n); err != nil || n == 1 {
		return err
	}
	first := counter{}
	first.head.Store, first.head.Epoch = storage.NewStoreID(), storage.NextEpoch(0)
	first.horizon = first.head
	_, err := conn.ExecContext(ctx, "INSERT INTO diamond_counter (id, "+counterColumns+") VALUES (1, "+marks(15)+")", first.values()...)
	if isDuplicate(err) {
		return nil // another store has created it first
	}
	return err
}

// values returns the row for [counterColumns].
func (c *counter) values() []any {
	h, z := &c.head, &c.horizon
	return []any{
		c.storeColumn(), int64(c.origin), h.Revision, h.Epoch.Generation, h.Epoch.ID[:], h.Chain[:], h.changes, h.bytes,
		z.Revision, z.Epoch.Generation, z.Epoch.ID[:], z.Chain[:], z.changes, z.bytes, c.ahead,
	}
}

// save writes the counter, which the transaction has locked.
func (t *transaction) save(ctx context.Context) error {
	return t.exec(ctx, `UPDATE diamond_counter SET store = ?, origin = ?, revision = ?, generation = ?, epoch = ?, chain = ?,
		log_changes = ?, log_bytes = ?, horizon = ?, horizon_generation = ?, horizon_epoch = ?, horizon_chain = ?,
		horizon_changes = ?, horizon_bytes = ?, ahead = ? WHERE id = 1`, t.values()...)
}
