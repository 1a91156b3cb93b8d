package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// backend is a server with its storage: an embedded store, or a database with a
// copy on the server's disk. What wraps the server, and closes it, takes its place.
type backend struct {
	srv   diamond.Server
	store diamond.Storage  // that the server is on
	local *boltstore.Store // on the disk: the storage itself, or the copy of it
	close func() error     // closes the server and its stores
}

// embedded opens the store in dir, and a server on it.
func embedded(dir string, retention storage.Retention, logger *slog.Logger, opts ...diamond.ServerOption) (*backend, error) {
	local, err := boltstore.Open(dir, boltstore.WithRetention(retention), boltstore.WithLogger(logger))
	if err != nil {
		return nil, err
	}
	if err := ownHistory(local, dir); err != nil {
		return nil, errors.Join(err, local.Close())
	}
	srv, err := diamond.NewServer(local, append(opts, diamond.WithLogger(logger))...)
	if err != nil {
		return nil, errors.Join(err, local.Close())
	}
	b := &backend{srv: srv, store: local, local: local}
	b.close = func() error { return errors.Join(b.srv.Close(), local.Close()) }
	return b, nil
}

// hasStore reports whether there may be a store in dir.
func hasStore(dir string) bool {
	entries, err := os.ReadDir(dir)
	return len(entries) > 0 || err != nil && !errors.Is(err, os.ErrNotExist)
}

// ownHistory refuses to use a copy of a database as an embedded store: the copy and
// the database would continue as two histories with the same store id.
func ownHistory(local *boltstore.Store, dir string) error {
	ctx := context.Background()
	at, err := local.At(ctx)
	if err != nil || at.IsZero() {
		return err
	}
	if err := local.Apply(ctx, nil, at); err != nil {
		if errors.Is(err, diamond.ErrInvalid) { // a store that is not a copy refuses to apply
			return nil
		}
		return err
	}
	return usageError{fmt.Errorf("data: %s is a server's copy of a database: give --mysql; "+
		"to turn it into a store, run gdiamond backup on it and restore that file", dir)}
}

// shared opens the store in a database with a copy in dir, and a server on it. The
// database need not be reachable.
func shared(ctx context.Context, db *database, migrate bool, dir string, retention storage.Retention, logger *slog.Logger, opts ...diamond.ServerOption) (b *backend, err error) {
	dsn, err := db.full()
	if err != nil {
		return nil, err
	}
	local, err := openCopy(dir, retention, logger)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, local.Close())
		}
	}()
	store, err := openShared(ctx, dsn, migrate, retention, logger)
	if err != nil {
		return nil, err
	}
	srv, err := diamond.NewServer(store, append(opts, diamond.WithLogger(logger), diamond.WithReplica(local))...)
	if err != nil {
		return nil, errors.Join(ofCopy(err, dir), store.Close())
	}
	b = &backend{srv: srv, store: store, local: local}
	b.close = func() error { return errors.Join(b.srv.Close(), store.Close(), local.Close()) }
	return b, nil
}

// openShared opens the store in the database at dsn.
func openShared(ctx context.Context, dsn string, migrate bool, retention storage.Retention, logger *slog.Logger) (*mysqlstore.Store, error) {
	opts := []mysqlstore.Option{mysqlstore.WithRetention(retention), mysqlstore.WithLogger(logger), mysqlstore.WithLateStart()}
	if migrate {
		opts = append(opts, mysqlstore.WithMigrate())
	}
	return mysqlstore.Open(ctx, dsn, opts...)
}

// openCopy opens the copy of a database in dir. It sets a damaged copy aside and
// begins a new one, because the database has all of its data.
func openCopy(dir string, retention storage.Retention, logger *slog.Logger) (*boltstore.Store, error) {
	local, err := boltstore.Open(dir, boltstore.WithRetention(retention), boltstore.WithLogger(logger))
	if !errors.Is(err, diamond.ErrCorrupt) {
		return local, err
	}
	aside, failed := boltstore.SetAside(dir)
	if failed != nil {
		return nil, errors.Join(err, failed)
	}
	logger.Error("the copy of the database is damaged: it is set aside, and made anew", "data", dir, "aside", aside, "error", err)
	return boltstore.Open(dir, boltstore.WithRetention(retention), boltstore.WithLogger(logger))
}

// ofCopy adds to an error what to do about a directory that does not hold a copy of
// the database.
func ofCopy(err error, dir string) error {
	if errors.Is(err, diamond.ErrInvalid) || errors.Is(err, diamond.ErrOtherStore) {
		return fmt.Errorf("data: %s holds no copy of this database; give another directory, "+
			"or move its store with `gdiamond copy`: %w", dir, err)
	}
	return err
}
