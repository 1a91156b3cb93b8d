package diamond

import (
	"context"
	"errors"
)

// openReplica prepares the server's copy of its storage, and serves what that
// holds. An error says that it is not one of this server's.
func (s *server) openReplica(ctx context.Context) error {
	local := bounded(s.cfg.replica)
	s.replica = &replica{
		local:  local,
		recent: &s.recent,
		log:    s.log,
		woken:  make(chan struct{}, 1),
		changes: func(ctx context.Context, after Position) (Batch, error) {
			batch, _, err := s.changes(ctx, after)
			return batch, err
		},
		install: s.installReplica,
	}
	at, err := local.At(ctx)
	if err == nil && !at.IsZero() {
		if err = local.Apply(ctx, nil, at); errors.Is(err, ErrInvalid) {
			return Errorf(ErrInvalid, "the replica has taken changes of its own and is no copy; give the server another directory for its replica")
		}
		if err == nil {
			err = s.serveReplica(ctx, at)
		}
	}
	switch {
	case errors.Is(err, ErrClosed):
		return err
	case errors.Is(err, ErrCorrupt):
		s.replica.damage(err)
	case err != nil:
		s.replica.note(err)
	}
	return nil
}

// serveReplica serves what the copy holds, which is at a position of the store's.
func (s *server) serveReplica(ctx context.Context, at Position) error {
	st, err := s.scan(ctx, s.replica.local, nil)
	if err != nil {
		return err
	}
	for _, place := range st.index.cells.All() {
		if r := place.Load(); r.Revision > at.Revision {
			return Errorf(ErrCorrupt, "the replica is at revision %d and holds an entry of %d: it was not completed", at.Revision, r.Revision)
		}
	}
	st.position = at
	s.replica.reached(at)
	s.startFrom(nil, st)
	s.log.Info("serving from the replica", "revision", at.Revision, "keys", st.index.live.Load())
	return nil
}

// otherStore says what to do about a storage that is another store than what
// this server has served.
func (s *server) otherStore(err error) error {
	if s.replica == nil {
		return err
	}
	return Errorf(ErrOtherStore, "the replica is a copy of store %v, and the storage is another store; "+
		"point the server at the storage that it had, or give it an empty directory for its replica", s.store)
}
