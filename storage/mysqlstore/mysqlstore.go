package mysqlstore

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/failpoint"
	"github.com/linnaname/gdiamond/storage"
)

var (
	_ diamond.Storage = (*Store)(nil)
	_ diamond.Replica = (*Store)(nil)
)

const (
	// pruneEvery is the approximate interval of pruning in the background.
	pruneEvery = 10 * time.Minute
	// answerTimeout is the time for the database to answer at first contact.
	answerTimeout = 5 * time.Second
	// migrateTimeout is the time for the migration when a store starts. It is twice the
	// wait for another migration.
	migrateTimeout = 2 * migrationWait
)

// Store is a store in a database, created by [New] or [Open]. It is safe for concurrent
// use. Several stores may use the same database.
type Store struct {
	db        *sql.DB
	ownDB     bool // Close closes db
	retention storage.Retention
	logger    *slog.Logger
	migrate   bool
	late      bool
	now       func() time.Time

	readers  readers
	starting chan struct{} // holds one token while the store gets ready
	limits   atomic.Pointer[limits]

	writing chan struct{} // holds one token while a transaction runs
	session *session      // of the transaction, or nil; guarded by the token of writing
	resting *time.Timer   // ends a session that is not used

	stop    context.CancelFunc // ends the background work
	workers sync.WaitGroup

	mu     sync.RWMutex // held for reading by running calls
	closed bool         // guarded by mu
}

// Option changes a default of [New] and [Open].
type Option func(*Store)

// WithRetention sets how much history is kept. The default is that of the zero
// [storage.Retention]. Stores on the same database should have the same retention, because
// the one that keeps least decides.
func WithRetention(r storage.Retention) Option { return func(s *Store) { s.retention = r } }

// WithLogger sets the logger for messages to operators, such as that the database limits
// contents to less than the usual size. The default is [slog.Default].
func WithLogger(l *slog.Logger) Option { return func(s *Store) { s.logger = l } }

// WithMigrate creates or updates the schema, as [Migrate] does.
func WithMigrate() Option { return func(s *Store) { s.migrate = true } }

// WithLateStart makes New succeed even if the database cannot be reached yet. Until it can,
// every call fails with [conf.ErrUnavailable]. So a server that has a copy of the store
// can start and serve from that. A database that can be reached but lacks the schema is
// still an error.
func WithLateStart() Option { return func(s *Store) { s.late = true } }

// New returns a store on db, which the caller must still close. The schema must exist (see
// [Migrate]); otherwise New fails with a [*SchemaError].
//
// The connections of db must have autocommit on, as they have by default, and should be
// configured like those of [OpenDB]. Errors wrap the sentinels of package diamond:
// ErrUnavailable if the database cannot be used, and ErrInvalid if its settings would break
// a promise.
func New(ctx context.Context, db *sql.DB, opts ...Option) (*Store, error) {
	s := configured(opts)
	s.db = db
	return s.open(ctx)
}

// Open is [New] with a pool of [OpenDB], which the store closes.
func Open(ctx context.Context, dsn string, opts ...Option) (*Store, error) {
	s := configured(opts)
	db, err := OpenDB(dsn, s.logger)
	if err != nil {
		return nil, err
	}
	s.db, s.ownDB = db, true
	opened, err := s.open(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return opened, nil
}

func configured(opts []Option) *Store {
	s := &Store{now: failpoint.Now, logger: slog.Default(), starting: make(chan struct{}, 1), writing: make(chan struct{}, 1)}
	for _, opt := range opts {
		opt(s)
	}
	s.retention = s.retention.OrDefaults()
	return s
}

func (s *Store) open(ctx context.Context) (*Store, error) {
	s.readers = readersOf(s.db)
	if err := s.ready(ctx); err != nil {
		var schema *SchemaError // waiting does not help
		if !s.late || !errors.Is(err, conf.ErrUnavailable) || errors.As(err, &schema) {
			return nil, err
		}
		s.logger.Warn("the database cannot be used yet", "error", err)
	}
	s.resting = time.AfterFunc(sessionRest, s.rest)
	s.resting.Stop() // there is no session yet
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.workers.Go(func() { s.pruneAlways(background) })
	return s, nil
}

// ready prepares the database for use: it reads the limits, checks the schema and creates
// the counter.
func (s *Store) ready(ctx context.Context) error {
	if s.limits.Load() != nil {
		return nil
	}
	select {
	case s.starting <- struct{}{}:
		defer func() { <-s.starting }()
	case <-ctx.Done():
		return ended(ctx)
	}
	if s.limits.Load() != nil {
		return nil
	}
	var l *limits
	if err := within(ctx, answerTimeout, func(ctx context.Context) (err error) {
		l, err = readLimits(ctx, s.db)
		return err
	}); err != nil {
		return err
	}
	if s.migrate {
		var applied []string
		if err := within(ctx, migrateTimeout, func(ctx context.Context) (err error) {
			applied, err = Migrate(ctx, s.db)
			return err
		}); err != nil {
			return err
		}
		if len(applied) > 0 {
			s.logger.Info("the schema was migrated", "applied", applied)
		}
	}
	if err := within(ctx, answerTimeout, func(ctx context.Context) error {
		if err := checkSchema(ctx, s.db); err != nil {
			return err
		}
		return createCounter(ctx, s.db)
	}); err != nil {
		return err
	}
	if l.content < conf.DefaultMaxContent {
		s.logger.Warn("the database's max_allowed_packet lowers the limit of a content",
			"bytes", l.content, "usual", conf.DefaultMaxContent, "max_allowed_packet", l.packet)
	}
	s.limits.Store(l)
	return nil
}

// within runs ask with a timeout, because a database may accept connections and never
// answer.
func within(ctx context.Context, timeout time.Duration, ask func(context.Context) error) error {
	timed, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := ask(timed)
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		return conf.Errorf(conf.ErrUnavailable, "the database did not answer within %v", timeout)
	}
	return failure(ctx, err)
}

// MaxContent returns the limit of one content in bytes. It depends on the database's
// max_allowed_packet and may be below [conf.DefaultMaxContent]. A larger content is
// ErrTooLarge. MaxContent is 0 until the database has been reached; see [WithLateStart].
func (s *Store) MaxContent() int64 {
	if l := s.limits.Load(); l != nil {
		return l.content
	}
	return 0
}

// Close implements [diamond.Storage]. It closes the connections that [Open] made.
func (s *Store) Close() error {
	s.stop()
	s.workers.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.resting.Stop()
	s.writing <- struct{}{} // never released, so that nothing is written any more
	s.end()
	if s.ownDB {
		_ = s.db.Close() // only fails for connections that are already broken
	}
	return nil
}

// begin starts a call, unless the store is closed or the context has ended. The caller must
// call done at the end.
func (s *Store) begin(ctx context.Context) (done func(), err error) {
	s.mu.RLock()
	switch {
	case s.closed:
		err = conf.Errorf(conf.ErrClosed, "mysqlstore")
	case ctx.Err() != nil:
		err = ended(ctx)
	default:
		err = s.ready(ctx)
	}
	if err != nil {
		s.mu.RUnlock()
		return nil, err
	}
	return s.mu.RUnlock, nil
}
