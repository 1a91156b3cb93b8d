package boltstore

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/storage"
)

// pruneRequests removes the expired request ids. Rows are not ordered by time, so it reads
// all of them, and starts a write transaction only if some have expired.
func (s *Store) pruneRequests(ctx context.Context) error {
	now := s.now()
	for after, ended := []byte(nil), false; !ended; {
		var expired [][]byte
		if err := s.read(ctx, func(v *view) (err error) {
			after, expired, ended, err = v.expired(after, now)
			return err
		}); err != nil {
			return err
		}
		if len(expired) == 0 {
			continue
		}
		if err := s.write(ctx, func(v *view) error { return v.forget(expired, now) }); err != nil {
			return err
		}
	}
	return nil
}

// expired examines some of the request ids after a row key. It returns the last of them,
// the expired ones, and whether there are no more.
func (v *view) expired(after []byte, now time.Time) (last []byte, expired [][]byte, ended bool, err error) {
	head, _, err := v.head()
	if err != nil {
		return nil, nil, false, err
	}
	c := v.requests.Cursor()
	k, row := c.Seek(append(after, 0))
	if after == nil {
		k, row = c.First()
	}
	for n := 0; k != nil && n < pruneLook && len(expired) < pruneBatch; k, row = c.Next() {
		r, err := decodeRequest(k, row)
		if err != nil {
			return nil, nil, false, err
		}
		n, last = n+1, append([]byte(nil), k...)
		if storage.RequestExpired(r.revision, r.time, head.Revision, now) {
			expired = append(expired, last)
		}
	}
	return last, expired, k == nil, nil
}

// forget removes the rows of request ids that expired has found.
func (v *view) forget(expired [][]byte, now time.Time) error {
	head, _, err := v.head()
	if err != nil {
		return err
	}
	for _, k := range expired {
		row := v.requests.Get(k)
		if row == nil {
			continue
		}
		r, err := decodeRequest(k, row)
		if err != nil {
			return err
		}
		if !storage.RequestExpired(r.revision, r.time, head.Revision, now) {
			continue // an installation has replaced the store
		}
		if err := v.requests.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
