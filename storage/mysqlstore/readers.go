package mysqlstore

import (
	"context"
	"database/sql"

	diamond "github.com/linnaname/gdiamond"
)

// keptConns is how many connections of the pool the reads of single callers
// never take: one for the transaction under way, one for the feed, and one for
// what publishers wait for besides.
const keptConns = 3

// readers bounds how many reads are under way that are not the feed's; see
// [diamond.FeedRead]. Each may take as long as its context lets it, on a
// connection that has gone silent. Nil where the pool has no bound.
type readers chan struct{}

// readersOf returns the readers that a pool leaves room for.
func readersOf(db *sql.DB) readers {
	most := db.Stats().MaxOpenConnections
	if most == 0 {
		return nil
	}
	return make(readers, max(most-keptConns, 1))
}

// enter waits until a read may take a connection; leave lets the next one.
func (r readers) enter(ctx context.Context) (leave func(), err error) {
	if r == nil || diamond.FeedRead(ctx) {
		return func() {}, nil
	}
	select {
	case r <- struct{}{}:
		return func() { <-r }, nil
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}
