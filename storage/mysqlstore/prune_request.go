package mysqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/linnaname/gdiamond/storage"
)

// pruneRequests removes some of the request ids that are expired by
// [storage.RequestExpired], and reports whether there were any.
func (s *Store) pruneRequests(ctx context.Context) (bool, error) {
	now := s.now()
	upTo, err := s.expired(ctx, now)
	if err != nil || upTo == 0 {
		return false, err
	}
	return true, s.prune(ctx, func(ctx context.Context, t *transaction) error {
		return t.exec(ctx, "DELETE FROM diamond_request WHERE revision <= ? AND time_us < ?", upTo, now.Add(-storage.RequestIDAge).UnixMicro())
	})
}

// expired returns the revision of the last of the next expired request ids, or 0 if there
// are none. It stops at the first id that has not expired, because there may be a day's
// worth of them.
func (s *Store) expired(ctx context.Context, now time.Time) (upTo int64, err error) {
	c, err := s.counter(ctx)
	if err != nil {
		return 0, err
	}
	for after, ended := int64(0), false; upTo == 0 && !ended; {
		n := 0
		err := s.look(ctx, func(rows *sql.Rows) error {
			var micros int64
			if err := rows.Scan(&after, &micros); err != nil {
				return err
			}
			n++
			switch age := now.Sub(time.UnixMicro(micros)); {
			case ended || age < 0: // skip ids whose times are in the future
			case age <= storage.RequestIDAge:
				ended = true
			default:
				upTo = after
			}
			return nil
		}, "SELECT revision, time_us FROM diamond_request WHERE revision > ? AND revision <= ? ORDER BY revision LIMIT ?",
			after, c.head.Revision-storage.RequestIDFloor, pruneBatch)
		if err != nil {
			return 0, err
		}
		ended = ended || n < pruneBatch
	}
	return upTo, nil
}
