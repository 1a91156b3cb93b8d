package mysqlstore

import (
	"context"
	"database/sql"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

// origin says whose history a store holds.
type origin int64

const (
	fresh   origin = iota // none
	copied                // another store's, by Apply or Install
	written               // its own, by Commit or Fork
)

// mark is a point of the log: a position, and how much the log has had up to it.
type mark struct {
	diamond.Position
	changes int64
	bytes   int64 // of content
}

// counter is the one row that all transactions that write lock first.
type counter struct {
	origin  origin
	head    mark
	horizon mark  // the log begins after it
	ahead   int64 // the highest revision that an installation brought
}

const counterColumns = "store, origin, revision, generation, epoch, chain, log_changes, log_bytes, " +
	"horizon, horizon_generation, horizon_epoch, horizon_chain, horizon_changes, horizon_bytes, ahead"

// fields returns where to scan [counterColumns] to; after that, filled puts
// together what is not scanned as it stands.
func (c *counter) fields() (fields []any, filled func() error) {
	var store, epoch, horizonEpoch, chain, horizonChain sql.RawBytes
	h, z := &c.head, &c.horizon
	return []any{
			&store, &c.origin, &h.Revision, &h.Epoch.Generation, &epoch, &chain, &h.changes, &h.bytes,
			&z.Revision, &z.Epoch.Generation, &horizonEpoch, &horizonChain, &z.changes, &z.bytes, &c.ahead,
		}, func() error {
			err := fixed(h.Store[:], store)
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

// fixed fills dst with a value of exactly its length.
func fixed(dst, src []byte) error {
	if len(src) != len(dst) {
		return diamond.Errorf(diamond.ErrCorrupt, "a value of %d bytes has %d", len(dst), len(src))
	}
	copy(dst, src)
	return nil
}

// at returns the position as a replica has it: zero when it holds nothing.
func (c *counter) at() diamond.Position {
	if c.origin == fresh {
		return diamond.Position{}
	}
	return c.head.Position
}

// caughtUp refuses to write to a copy that holds entries above its head.
func (c *counter) caughtUp() error {
	if c.head.Revision < c.ahead {
		return storage.NotCaughtUp(c.head.Revision, c.ahead)
	}
	return nil
}

// isCopy refuses what would overwrite a history of the store's own.
func (c *counter) isCopy() error {
	if c.origin == written {
		return storage.NotCopy()
	}
	return nil
}

// noCounter is the error where the row is missing, as while a dump is loaded.
// Without it nothing can be said of what else there is.
func noCounter() error {
	return diamond.Errorf(diamond.ErrCorrupt, "the row of diamond_counter is missing")
}

// createCounter makes the row, of a store with an id of its own, unless it is there.
func createCounter(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	if err = createCounterOn(ctx, conn); err != nil && useless(err) {
		drop(conn)
	}
	_ = conn.Close() // it goes back, or was dropped
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
		return nil // another store was quicker
	}
	return err
}

// values returns what [counterColumns] are to hold.
func (c *counter) values() []any {
	h, z := &c.head, &c.horizon
	return []any{
		h.Store[:], int64(c.origin), h.Revision, h.Epoch.Generation, h.Epoch.ID[:], h.Chain[:], h.changes, h.bytes,
		z.Revision, z.Epoch.Generation, z.Epoch.ID[:], z.Chain[:], z.changes, z.bytes, c.ahead,
	}
}

// save writes the counter, which the transaction has locked.
func (t *transaction) save(ctx context.Context) error {
	return t.exec(ctx, `UPDATE diamond_counter SET store = ?, origin = ?, revision = ?, generation = ?, epoch = ?, chain = ?,
		log_changes = ?, log_bytes = ?, horizon = ?, horizon_generation = ?, horizon_epoch = ?, horizon_chain = ?,
		horizon_changes = ?, horizon_bytes = ?, ahead = ? WHERE id = 1`, t.values()...)
}
