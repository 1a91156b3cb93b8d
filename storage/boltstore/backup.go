package boltstore

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

// Backup writes a copy of the store, as it is at one moment, to w. Reads and
// commits go on meanwhile. The copy holds contents in the clear.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	return s.db.View(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(writerFunc(func(b []byte) (int, error) {
			if err := ended(ctx); err != nil {
				return 0, err
			}
			return w.Write(b)
		}))
		return err
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// RestoreOption changes a default of [Restore].
type RestoreOption func(*restoring)

// restoring is how a restore is done.
type restoring struct {
	above int64 // 0: the clock alone says which generation is next
	now   func() time.Time
}

// WithGenerationAbove has the new epoch's generation be above the given one,
// which is to be the highest that any server or client has seen, whatever the
// clock says. It is needed where a clock was wrong, now or at a restore before:
// see [Restore].
func WithGenerationAbove(generation int64) RestoreOption {
	return func(r *restoring) { r.above = generation }
}

// Restore makes a store in dir, which must be empty or not be there, from what
// Backup wrote, verifies all of it and begins a new epoch, since the store has
// lost what was published after the backup: its revisions go on a million
// above the backup's. It returns the position after that.
// Where it fails, there is no store in dir.
//
// When one backup is restored twice, the second outcome has to be newer than the
// first for all who have seen that, and nothing in the backup says so. The clock
// does: the generation of the new epoch is the time in microseconds. So a restore
// under a clock that is ahead is followed by none under a right one: who has seen
// the first waits for it, and servers say which generation that is. Then, and
// where the clock is behind what the backup holds, [WithGenerationAbove] says it.
//
// ErrInvalid: dir is not empty, or the clock is not after the newest change in
// the backup or after its generation, and no generation is given. ErrCorrupt:
// the backup is damaged.
func Restore(ctx context.Context, dir string, r io.Reader, opts ...RestoreOption) (diamond.Position, error) {
	how := restoring{now: time.Now}
	for _, opt := range opts {
		opt(&how)
	}
	if how.above < 0 || how.above > storage.MaxAbove {
		return diamond.Position{}, diamond.Errorf(diamond.ErrInvalid, "generation: %d, not from 1 to %d", how.above, int64(storage.MaxAbove))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return diamond.Position{}, openError(dir, err)
	}
	if err := checkEmpty(dir); err != nil {
		return diamond.Position{}, err
	}
	var at diamond.Position
	err := replace(filepath.Join(dir, fileName), false, func(temp string) (err error) {
		if err := receive(ctx, temp, r); err != nil {
			return err
		}
		if _, err := verify(ctx, temp); err != nil {
			return err
		}
		at, err = how.forkFile(ctx, temp)
		return err
	})
	var known *diamond.Error
	switch {
	case err == nil:
		return at, nil
	case errors.Is(err, diamond.ErrCorrupt) && errors.As(err, &known):
		return diamond.Position{}, diamond.Errorf(diamond.ErrCorrupt, "the backup: %s", known.Detail)
	case errors.Is(err, os.ErrExist):
		return diamond.Position{}, notEmpty(dir)
	}
	return diamond.Position{}, openError(dir, err)
}

func checkEmpty(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return openError(dir, err)
	}
	for _, n := range names {
		if !strings.HasPrefix(n.Name(), tempPrefix) {
			return notEmpty(dir)
		}
	}
	return nil
}

func notEmpty(dir string) error {
	return diamond.Errorf(diamond.ErrInvalid, "%s is not empty: restore into an empty or a new directory", dir)
}

func receive(ctx context.Context, path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, readerFunc(func(b []byte) (int, error) {
		if err := ended(ctx); err != nil {
			return 0, err
		}
		return r.Read(b)
	}))
	return errors.Join(err, f.Close())
}

// forkFile begins a new epoch in the store at path.
func (r *restoring) forkFile(ctx context.Context, path string) (diamond.Position, error) {
	db, err := openFile(path)
	if err != nil {
		return diamond.Position{}, err
	}
	s := &Store{dir: filepath.Dir(path), now: r.now, db: db, writer: make(chan struct{}, 1)}
	at, err := r.fork(ctx, s)
	return at, errors.Join(err, db.Close())
}

func (r *restoring) fork(ctx context.Context, s *Store) (diamond.Position, error) {
	now := r.now()
	var at diamond.Position
	if err := s.read(ctx, func(v *view) (err error) {
		at, _, err = v.head()
		if err == nil && r.above == 0 {
			err = v.isBefore(now, at)
		}
		at.Revision = max(at.Revision, v.ahead)
		return err
	}); err != nil {
		return diamond.Position{}, err
	}
	return s.Fork(ctx, storage.Restored(at, max(now.UnixMicro(), r.above)))
}

// isBefore refuses a time that cannot show a restore to be later than what is in
// the backup, or than another restore of it; at is the position of its head.
func (v *view) isBefore(now time.Time, at diamond.Position) error {
	const remedy = "correct the clock, or give the highest generation that servers and clients have seen (gdiamond restore --above)"
	if k, row := v.log.Cursor().Last(); k != nil {
		newest, err := decodeRecord(k, row)
		if err != nil {
			return err
		}
		if made := newest.change.Time; now.Before(made) {
			return diamond.Errorf(diamond.ErrInvalid, "the clock says %s, and the newest change in the backup is of %s: %s",
				now.UTC().Format(time.RFC3339), made.Format(time.RFC3339), remedy)
		}
	}
	if at.Epoch.Generation >= now.UnixMicro() {
		return diamond.Errorf(diamond.ErrInvalid, "the backup is of generation %d, which a clock that was ahead has given: %s",
			at.Epoch.Generation, remedy)
	}
	return nil
}
