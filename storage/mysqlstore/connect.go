package mysqlstore

import (
	"database/sql"
	"log/slog"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// dialTimeout is the time to connect, unless the DSN sets it.
	dialTimeout = 2 * time.Second
	// sessionIdle is the number of seconds after which the database ends an idle
	// connection. A node that freezes or is cut off during a transaction holds the
	// counter's lock for no longer.
	sessionIdle = "30"
	// lockWaitSeconds is the time that a statement waits for the counter's lock.
	lockWaitSeconds = "3"

	maxOpen  = 16
	maxIdle  = 4
	idleTime = 15 * time.Second // shorter than sessionIdle
	lifeTime = 3 * time.Minute  // so that connections follow the address to a new primary
)

// OpenDB returns the pool of connections that [Open] uses, for a DSN of
// github.com/go-sql-driver/mysql: "user:password@tcp(host:port)/database". It does not
// connect yet. An invalid DSN is [conf.ErrInvalid]; the error does not quote it.
//
// OpenDB sets the variables that the storage needs, regardless of the DSN and the
// database: a strict sql_mode, autocommit, no limit of rows, the check of unique keys,
// COMMIT without a chain, the collation binary, and the database's own limit of a packet.
// It turns rejectReadOnly off, because the store itself drops connections to a read-only
// database and reports why. Other settings of the DSN apply, such as tls, timeout (2s by
// default), wait_timeout and innodb_lock_wait_timeout.
func OpenDB(dsn string, logger *slog.Logger) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, conf.Errorf(conf.ErrInvalid, "the DSN cannot be read; it has the form user:password@tcp(host:port)/database")
	}
	if cfg.DBName == "" {
		return nil, conf.Errorf(conf.ErrInvalid, "the DSN names no database; it has the form user:password@tcp(host:port)/database")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = dialTimeout
	}
	cfg.RejectReadOnly = false   // it would turn the database's error into a lost connection
	cfg.InterpolateParams = true // one round trip a statement
	cfg.MaxAllowedPacket = 0     // ask the database
	cfg.CheckConnLiveness = true
	cfg.AllowAllFiles = false
	cfg.MultiStatements = false
	cfg.ParseTime = false
	cfg.Logger = driverLog{logger}
	if cfg.Params == nil {
		cfg.Params = make(map[string]string)
	}
	for name, value := range map[string]string{"wait_timeout": sessionIdle, "innodb_lock_wait_timeout": lockWaitSeconds} {
		if cfg.Params[name] == "" {
			cfg.Params[name] = value
		}
	}
	cfg.Params["sql_mode"] = "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
	for _, v := range required() {
		cfg.Params[v.name] = v.set
	}
	if err := cfg.Apply(mysql.Charset("binary", "")); err != nil {
		return nil, conf.Errorf(conf.ErrInvalid, "the DSN cannot be used")
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, conf.Errorf(conf.ErrInvalid, "the DSN cannot be used")
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(maxOpen)
	db.SetMaxIdleConns(maxIdle)
	db.SetConnMaxIdleTime(idleTime)
	db.SetConnMaxLifetime(lifeTime)
	return db, nil
}

// driverLog logs the driver's messages about connections at debug level. Errors are also
// returned to callers.
type driverLog struct{ logger *slog.Logger }

// Print implements [mysql.Logger].
func (l driverLog) Print(v ...any) {
	for _, what := range v {
		if err, ok := what.(error); ok {
			c, _ := classify(err)
			l.logger.Debug("mysql driver", "error", c.detail)
		}
	}
}
