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

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// Backup writes a copy of the store as of one moment to w. Reads and commits continue
// meanwhile. The copy is not encrypted.
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

// restoring has the options of a restore.
type restoring struct {
	above int64 // the generation to exceed, or 0 if the clock alone decides
	now   func() time.Time
}

// WithGenerationAbove makes the generation of the new epoch higher than the given one,
// regardless of the clock. Give the highest generation that any server or client has
// seen. It is needed if the clock is wrong, or was wrong at an earlier restore: see
// [Restore].
func WithGenerationAbove(generation int64) RestoreOption {
	return func(r *restoring) { r.above = generation }
}

// Restore creates a store in dir from the output of [Store.Backup], and verifies all of
// it. dir must be empty or not exist. Restore begins a new epoch, because the store has
// lost the changes published after the backup; its revisions continue a million above
// those of the backup. It returns the resulting position. If it fails, it leaves no store
// in dir.
//
// If a backup is restored twice, clients that have seen the first store must take the
// second one for newer, and nothing in the backup can tell them. So the generation of the
// new epoch is the time in microseconds. After a restore under a clock that was ahead, a
// restore under the right clock seems older: clients wait for the first store, and
// servers report its generation. In that case, or if the clock is behind the newest
// change in the backup, use [WithGenerationAbove].
//
// The error is ErrInvalid if dir is not empty, or if no generation is given and the clock
// is behind the newest change or the generation of the backup. It is ErrCorrupt if the
// backup is damaged.
func Restore(ctx context.Context, dir string, r io.Reader, opts ...RestoreOption) (conf.Position, error) {
	how := restoring{now: time.Now}
	for _, opt := range opts {
		opt(&how)
	}
	if how.above < 0 || how.above > storage.MaxAbove {
		return conf.Position{}, conf.Errorf(conf.ErrInvalid, "generation: %d is not between 1 and %d", how.above, int64(storage.MaxAbove))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return conf.Position{}, openError(dir, err)
	}
	if err := checkEmpty(dir); err != nil {
		return conf.Position{}, err
	}
	var at conf.Position
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
	var known *conf.Error
	switch {
	case err == nil:
		return at, nil
	case errors.Is(err, conf.ErrCorrupt) && errors.As(err, &known):
		return conf.Position{}, conf.Errorf(conf.ErrCorrupt, "the backup: %s", known.Detail)
	case errors.Is(err, os.ErrExist):
		return conf.Position{}, notEmpty(dir)
	}
	return conf.Position{}, openError(dir, err)
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
	return conf.Errorf(conf.ErrInvalid, "%s is not empty: restore into an empty or a new directory", dir)
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
func (r *restoring) forkFile(ctx context.Context, path string) (conf.Position, error) {
	db, err := openFile(path)
	if err != nil {
		return conf.Position{}, err
	}
	s := &Store{dir: filepath.Dir(path), now: r.now, db: db, writer: make(chan struct{}, 1)}
	at, err := r.fork(ctx, s)
	return at, errors.Join(err, db.Close())
}

func (r *restoring) fork(ctx context.Context, s *Store) (conf.Position, error) {
	now := r.now()
	var at conf.Position
	if err := s.read(ctx, func(v *view) (err error) {
		at, _, err = v.head()
		if err == nil && r.above == 0 {
			err = v.isBefore(now, at)
		}
		at.Revision = max(at.Revision, v.ahead)
		return err
	}); err != nil {
		return conf.Position{}, err
	}
	return s.Fork(ctx, storage.Restored(at, max(now.UnixMicro(), r.above)))
}

// isBefore returns an error if the time now is not later than the newest change of the
// backup, or than its generation. at is the position of the backup's head.
func (v *view) isBefore(now time.Time, at conf.Position) error {
	const remedy = "correct the clock, or give the highest generation that servers and clients have seen (gdiamond restore --above)"
	if k, row := v.log.Cursor().Last(); k != nil {
		newest, err := decodeRecord(k, row)
		if err != nil {
			return err
		}
		if made := newest.change.Time; now.Before(made) {
			return conf.Errorf(conf.ErrInvalid, "the clock says %s, and the newest change in the backup is of %s: %s",
				now.UTC().Format(time.RFC3339), made.Format(time.RFC3339), remedy)
		}
	}
	if at.Epoch.Generation >= now.UnixMicro() {
		return conf.Errorf(conf.ErrInvalid, "the backup is of generation %d, which a clock that was ahead has given: %s",
			at.Epoch.Generation, remedy)
	}
	return nil
}
