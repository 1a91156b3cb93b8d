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
// lost what was published after the backup. It returns the position after that.
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
	if errors.Is(err, diamond.ErrCorrupt) {
		return diamond.Position{}, diamond.Errorf(diamond.ErrCorrupt, "the backup: %v", err)
	} else if err != nil {
		return diamond.Position{}, openError(dir, err)
	}
	return at, nil
}

func checkEmpty(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return openError(dir, err)
	}
	for _, n := range names {
		if !strings.HasPrefix(n.Name(), tempPrefix) {
			return diamond.Errorf(diamond.ErrInvalid, "%s is not empty: restore into an empty or a new directory", dir)
		}
	}
	return nil
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
func forkFile(ctx context.Context, path string) (diamond.Position, error) {
	db, err := openFile(path)
	if err != nil {
		return diamond.Position{}, err
	}
	s := &Store{dir: filepath.Dir(path), now: time.Now, db: db, writer: make(chan struct{}, 1)}
	at, err := s.Fork(ctx, diamond.Position{})
	return at, errors.Join(err, db.Close())
}
