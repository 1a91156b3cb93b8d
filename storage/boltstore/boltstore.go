// Package boltstore is a [diamond.Storage] and [diamond.Replica] in one file on a local
// disk, based on go.etcd.io/bbolt. It is the embedded default. Every commit is on stable
// storage before it is acknowledged.
//
// # The file
//
// DIR/store.db has a log of changes with their contents, and a current view that points
// into the log. Each content is stored once. Each record of the log points to the
// previous version of its key, so that no index of versions is needed.
//
// Only one process at a time can open a directory. [Store.Backup] copies it, even while
// it is in use; a plain copy of a file in use is not a backup.
package boltstore

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

var (
	_ diamond.Storage = (*Store)(nil)
	_ diamond.Replica = (*Store)(nil)
)

const (
	fileName   = "store.db"
	tempPrefix = fileName + ".tmp-" // of files that will replace it

	// lockWait is the time that Open waits for another process to release the file.
	lockWait = 500 * time.Millisecond

	// pruneEvery is the interval of pruning in the background.
	pruneEvery = 10 * time.Minute
)

// Store is a store in a directory, opened by [Open]. It is safe for concurrent use.
type Store struct {
	dir       string
	retention storage.Retention
	readOnly  bool
	logger    *slog.Logger
	now       func() time.Time
	beforeEnd func() error // for tests: runs before a transaction's commit

	db     *bolt.DB
	writer chan struct{} // holds one token while a write transaction runs
	// unsure is set while the outcome of the last commit is unknown, because the commit
	// was written but not synced. It is guarded by the writer's token.
	unsure     bool
	installing sync.Mutex // held by the running Install

	stop    context.CancelFunc // ends the background work
	workers sync.WaitGroup

	mu     sync.RWMutex // held for reading by running calls
	closed bool         // guarded by mu
}

// Option changes a default of [Open].
type Option func(*Store)

// WithRetention sets how much history is kept. The default is that of the zero
// [storage.Retention]. A smaller Versions takes effect for a key when its next change
// leaves the log.
func WithRetention(r storage.Retention) Option { return func(s *Store) { s.retention = r } }

// WithLogger sets the logger for failures of background pruning, which no caller sees.
// The default is [slog.Default].
func WithLogger(l *slog.Logger) Option { return func(s *Store) { s.logger = l } }

// WithReadOnly opens the store for reading only, so its disk need not be writable. Open
// then fails with ErrNotFound if there is no store, and writes fail with ErrInvalid.
// Several processes may have the store open for reading at the same time.
func WithReadOnly() Option { return func(s *Store) { s.readOnly = true } }

// Open opens the store in dir. It creates dir with mode 0700 and an empty store with mode
// 0600 if they do not exist.
//
// The error is ErrInUse if another process has the store open, ErrCorrupt if the file is
// damaged, which leaves it unchanged, and ErrNoSpace if the disk is full or read-only.
func Open(dir string, opts ...Option) (*Store, error) {
	s := &Store{dir: dir, logger: slog.Default(), now: time.Now, writer: make(chan struct{}, 1)}
	for _, opt := range opts {
		opt(s)
	}
	s.retention = s.retention.OrDefaults()
	open := openToWrite
	if s.readOnly {
		open = openInspected
	}
	db, err := open(filepath.Join(dir, fileName))
	if err != nil {
		return nil, openError(dir, err)
	}
	s.db = db
	if err := s.db.View(func(tx *bolt.Tx) error {
		return guard(func() error {
			v, err := newView(tx)
			if err == nil {
				_, _, err = v.head()
			}
			return err
		})
	}); err != nil {
		return nil, openError(dir, errors.Join(err, db.Close()))
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if !s.readOnly {
		removeTemps(dir)
		s.workers.Go(func() { s.pruneAlways(ctx) })
	}
	return s, nil
}

// Close implements [diamond.Storage].
func (s *Store) Close() error {
	s.stop()
	s.workers.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.db.Close()
}

// openToWrite opens the file at path for writing and locks it. It creates the file if it
// does not exist.
func openToWrite(path string) (*bolt.DB, error) {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(filepath.Dir(path), path); err != nil {
			// Another process may have created it first; then the lock decides.
			if _, there := os.Lstat(path); there != nil {
				return nil, err
			}
		}
	} else if err := inspect(path); err != nil {
		return nil, err
	}
	return openFile(path)
}

// openFile opens the file for writing and locks it.
func openFile(path string) (*bolt.DB, error) {
	var file *os.File
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: lockWait,
		// Opening the file rebuilds the list of free pages. Writing it with every commit
		// would be slow, because a pruned store has a long list.
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
		// Growing the map waits for readers, such as a backup.
		InitialMmapSize: initialMap(),
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			file, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
			return file, err
		},
	})
	if err != nil {
		return nil, err
	}
	// A compaction that ended while this call waited for the lock has replaced the
	// file.
	mine, err := file.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(path); err == nil && !os.SameFile(mine, there) {
			err = berrors.ErrTimeout
		}
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// create creates dir and an empty store in it, completely or not at all.
func create(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return replace(path, false, func(temp string) error {
		db, err := bolt.Open(temp, 0o600, &bolt.Options{Timeout: lockWait, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
		if err != nil {
			return err
		}
		first := header{store: storage.NewStoreID(), epochs: []epochStart{{epoch: storage.NextEpoch(0)}}}
		return errors.Join(db.Update(first.create), db.Close())
	})
}

// inspect verifies the structure of the file before bbolt maps it for writing, because
// bbolt trusts the file.
func inspect(path string) error {
	db, err := openInspected(path)
	if err != nil {
		return err
	}
	return db.Close()
}

// openInspected opens the file at path for reading, locks it against writers, and
// verifies its structure.
func openInspected(path string) (*bolt.DB, error) {
	db, err := openToRead(path)
	if err != nil {
		return nil, err
	}
	if err := checkPages(path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// openToRead opens the file at path for reading and locks it.
func openToRead(path string) (*bolt.DB, error) {
	if err := checkLength(path); err != nil {
		return nil, err
	}
	return bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, ReadOnly: true})
}

// read runs fn in a read transaction.
func (s *Store) read(ctx context.Context, fn func(*view) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	return s.failure(s.db.View(func(tx *bolt.Tx) error {
		return guard(func() error {
			v, err := newView(tx)
			if err != nil {
				return err
			}
			return fn(v)
		})
	}))
}

// usable returns an error if the store cannot be used. The caller must hold s.mu.
func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return conf.Errorf(conf.ErrClosed, "the store in %s", s.dir)
	}
	return ended(ctx)
}
