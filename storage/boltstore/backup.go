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

// Restore makes a store in dir, which must be empty or not be there, from what
// Backup wrote, verifies all of it and begins a new epoch, since the store has
// lost what was published after the backup: its revisions go on a million
// above the backup's. It returns the position after that.
// Where it fails, there is no store in dir.
//
// ErrInvalid: dir is not empty. ErrCorrupt: the backup is damaged.
func Restore(ctx context.Context, dir string, r io.Reader) (diamond.Position, error) {
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
		at, err = forkFile(ctx, temp)
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

// lostRevisions is how far above its backup a restored store goes on: more
// than may have been published since. So no revision that was lost names
// another value later, and no condition on it holds by chance.
const lostRevisions = 1_000_000

// forkFile begins a new epoch in the store at path. Its generation is the time
// in microseconds: when one backup is restored twice, the second outcome is
// the newer one for all who have seen the first.
func forkFile(ctx context.Context, path string) (diamond.Position, error) {
	db, err := openFile(path)
	if err != nil {
		return diamond.Position{}, err
	}
	s := &Store{dir: filepath.Dir(path), now: time.Now, db: db, writer: make(chan struct{}, 1)}
	at, err := s.forkAbove(ctx)
	return at, errors.Join(err, db.Close())
}

func (s *Store) forkAbove(ctx context.Context) (diamond.Position, error) {
	var lost diamond.Position
	if err := s.read(ctx, func(v *view) (err error) {
		lost, _, err = v.head()
		lost.Revision = max(lost.Revision, v.ahead) + lostRevisions
		return err
	}); err != nil {
		return diamond.Position{}, err
	}
	lost.Epoch.Generation = max(lost.Epoch.Generation, s.now().UnixMicro())
	return s.Fork(ctx, lost)
}
