package mysqlstore

import (
	"context"
	"database/sql"

	"github.com/linnaname/gdiamond/conf"
)

// keptConns is the number of connections that reads of single callers never use: one for
// the running transaction, one for the feed, and one for other reads that publishers wait
// for.
const keptConns = 3

// readers limits the number of running reads other than those of the feed; see
// [conf.FeedRead]. On a silent connection each may take until its context ends. readers
// is nil if the pool has no limit.
type readers chan struct{}

// readersOf returns the readers for a pool.
func readersOf(db *sql.DB) readers {
	most := db.Stats().MaxOpenConnections
	if most == 0 {
		return nil
	}
	return make(readers, max(most-keptConns, 1))
}

// enter waits until a read may use a connection. The caller must call leave at the end.
func (r readers) enter(ctx context.Context) (leave func(), err error) {
	if r == nil || conf.FeedRead(ctx) {
		return func() {}, nil
	}
	select {
	case r <- struct{}{}:
		return func() { <-r }, nil
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}
