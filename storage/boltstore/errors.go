package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"
	"strings"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/diskfull"
	"github.com/linnaname/gdiamond/storage"
)

// guard runs fn, which reads the mapped file. It turns panics of bbolt about damage, and
// faults of unreadable pages, into ErrCorrupt. Other panics are bugs and continue.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
	}()
	return fn()
}

func panicError(p any) error {
	if e, ok := p.(runtime.Error); ok {
		if _, fault := p.(interface{ Addr() uintptr }); !fault && !strings.Contains(e.Error(), "out of range") {
			panic(p)
		}
	}
	return conf.Errorf(conf.ErrCorrupt, "the file cannot be read: %v", p)
}

// failure wraps a sentinel of package diamond around err.
func (s *Store) failure(err error) error {
	var known *conf.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &known):
		if errors.Is(err, conf.ErrCorrupt) {
			return advised(known, s.dir)
		}
		return err
	}
	if reason := diskfull.Reason(err, conf.ErrNoSpace); reason != nil {
		return conf.Errorf(reason, "the store in %s cannot be written: %v", s.dir, err)
	}
	return conf.Errorf(conf.ErrUnavailable, "the store in %s: %v", s.dir, err)
}

// advised returns a copy of e that also says what to do about the damage.
func advised(e *conf.Error, dir string) error {
	c := *e
	c.Detail += fmt.Sprintf("; run `gdiamond check %s` to see what is damaged, and restore from a backup", dir)
	return &c
}

// openError is [Store.failure] for a store that cannot be opened.
func openError(dir string, err error) error {
	err = openFault(dir, err)
	var known *conf.Error
	if errors.As(err, &known) && errors.Is(err, conf.ErrCorrupt) {
		return advised(known, dir)
	}
	return err
}

// openFault is openError without the advice to run a check, for the check itself.
func openFault(dir string, err error) error {
	switch {
	case errors.Is(err, conf.ErrCorrupt):
		return err
	case errors.Is(err, berrors.ErrTimeout):
		return conf.Errorf(conf.ErrInUse, "the data directory %s is in use by another process", dir)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return conf.Errorf(conf.ErrCorrupt, "the store in %s is damaged: %v", dir, err)
	case errors.Is(err, fs.ErrNotExist):
		return conf.Errorf(conf.ErrNotFound, "there is no store in %s", dir)
	case errors.Is(err, fs.ErrPermission):
		return conf.Errorf(conf.ErrUnavailable, "the data directory %s: %v", dir, err)
	}
	return (&Store{dir: dir}).failure(err)
}

// ended returns an error if ctx has ended, and nil otherwise.
func ended(ctx context.Context) error { return storage.Ended(ctx, "boltstore") }
