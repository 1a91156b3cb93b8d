package mysqlstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"

	"github.com/go-sql-driver/mysql"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// Error numbers that the code refers to.
const (
	noSuchColumn = 1054
	duplicateKey = 1062
	noSuchTable  = 1146
	lockWait     = 1205
	deadlock     = 1213
)

// class is the meaning of an error number of the database.
type class struct {
	sentinel error
	again    bool // the transaction was rolled back, and may succeed on a retry
	drop     bool // the connection is unusable
	detail   string
}

// classes is the only table of the database's errors. The database's own texts are never
// passed on, because they may quote a content.
var classes = map[uint16]class{
	lockWait: {conf.ErrUnavailable, true, false, "another transaction holds the lock"},
	deadlock: {conf.ErrUnavailable, true, false, "it met another transaction"},

	1290: {conf.ErrUnavailable, true, true, "the database is read-only"},
	1792: {conf.ErrUnavailable, true, true, "the database is read-only"},
	1836: {conf.ErrUnavailable, true, true, "the database is read-only"},

	// Errors that need a change of the DSN or of the database.
	1193: {conf.ErrUnavailable, false, true, "the database does not know a variable that a parameter of the DSN sets: take it out of the DSN"},
	1231: {conf.ErrUnavailable, false, true, "the database refuses the value of a variable that a parameter of the DSN sets: correct it"},
	1232: {conf.ErrUnavailable, false, true, "a parameter of the DSN sets a variable to a value of the wrong type: text needs quotes, as in sql_mode=%27ANSI%27"},
	1238: {conf.ErrUnavailable, false, true, "a parameter of the DSN sets a variable that cannot be set: take it out of the DSN"},
	1229: {conf.ErrUnavailable, false, true, "a parameter of the DSN sets a variable that is a global one: take it out of the DSN"},
	1298: {conf.ErrUnavailable, false, true, "the database does not know the time zone of the DSN's parameter time_zone"},
	1115: {conf.ErrUnavailable, false, true, "the database does not know the character set of the DSN"},
	1273: {conf.ErrUnavailable, false, true, "the database does not know the collation of the DSN"},
	1064: {conf.ErrUnavailable, false, true, "the database does not understand a statement: a value of the DSN's parameters may need quotes; else it is no MySQL 5.7 or later, or MariaDB 10.5 or later"},
	1251: {conf.ErrUnavailable, false, true, "the database's way to authenticate the user is not known: give the user mysql_native_password or caching_sha2_password"},
	1524: {conf.ErrUnavailable, false, true, "the database has not loaded what authenticates the user: see its plugins"},
	1820: {conf.ErrUnavailable, false, true, "the user's password has expired: set a new one"},
	1862: {conf.ErrUnavailable, false, true, "the user's password has expired: set a new one"},
	3118: {conf.ErrUnavailable, false, true, "the user's account is locked: unlock it"},
	4151: {conf.ErrUnavailable, false, true, "the user's account is locked: unlock it"},
	3159: {conf.ErrUnavailable, false, true, "the database takes connections with TLS only: set tls in the DSN"},
	1175: {conf.ErrUnavailable, false, false, "sql_safe_updates is on for the connections: turn it off"},
	1104: {conf.ErrUnavailable, false, false, "max_join_size is too small for the connections: set sql_big_selects"},
	1286: {conf.ErrUnavailable, false, false, "the database has no InnoDB: enable it"},
	1071: {conf.ErrUnavailable, false, false, "the database's limit of keys is too low: enable innodb_large_prefix, or use MySQL 5.7 or later"},
	1036: {conf.ErrUnavailable, false, true, "a table is read-only: see the rights of the database's files"},
	1047: {conf.ErrUnavailable, true, true, "the database's node is not ready, as one that has lost its cluster"},
	3100: {conf.ErrUnavailable, true, true, "the database's cluster refused the transaction: see its log"},
	3101: {conf.ErrUnavailable, true, false, "the database's cluster rolled the transaction back, as it met another one"},
	1785: {conf.ErrUnavailable, false, false, "the database's enforce_gtid_consistency forbids a table that is not InnoDB: convert it"},
	1206: {conf.ErrUnavailable, false, false, "the database has no room for locks: raise innodb_buffer_pool_size"},
	1041: {conf.ErrUnavailable, false, true, "the database is out of memory"},
	1037: {conf.ErrUnavailable, false, true, "the database is out of memory"},
	1135: {conf.ErrUnavailable, false, true, "the database cannot begin a thread: see its limits"},
	1370: {conf.ErrUnavailable, false, false, "the user has no right to do that"},
	1028: {conf.ErrUnavailable, false, false, "the database's directory for temporary files cannot be used: see tmpdir"},

	1053: {conf.ErrUnavailable, true, true, "the database shuts down"},
	1927: {conf.ErrUnavailable, true, true, "the connection was killed"},
	4031: {conf.ErrUnavailable, true, true, "the connection was idle for too long"},
	1317: {conf.ErrUnavailable, false, false, "the statement was interrupted"},
	1969: {conf.ErrUnavailable, false, false, "the statement took longer than the database permits"},
	3024: {conf.ErrUnavailable, false, false, "the statement took longer than the database permits"},
	1040: {conf.ErrUnavailable, false, true, "the database has too many connections"},
	1203: {conf.ErrUnavailable, false, true, "the user has too many connections"},
	1226: {conf.ErrUnavailable, false, true, "the user has used up a resource of the database"},
	1129: {conf.ErrUnavailable, false, true, "the database refuses this host after many errors"},
	1130: {conf.ErrUnavailable, false, true, "the database refuses this host"},

	1045:         {conf.ErrUnavailable, false, true, "the database refuses the user or the password"},
	1698:         {conf.ErrUnavailable, false, true, "the database refuses the user or the password"},
	1044:         {conf.ErrUnavailable, false, true, "the user has no right to the database"},
	1142:         {conf.ErrUnavailable, false, false, "the user has no right to do that to a table"},
	1143:         {conf.ErrUnavailable, false, false, "the user has no right to a column"},
	1227:         {conf.ErrUnavailable, false, false, "the user has no right to do that"},
	1046:         {conf.ErrUnavailable, false, false, "the DSN names no database"},
	1049:         {conf.ErrUnavailable, false, true, "there is no such database"},
	noSuchColumn: {conf.ErrUnavailable, false, false, "a column is missing: the tables are not those that gdiamond made"},
	noSuchTable:  {conf.ErrUnavailable, false, false, "a table is missing: run `gdiamond migrate`"},
	1665:         {conf.ErrUnavailable, false, false, "binlog_format must be ROW or MIXED"},

	1153: {conf.ErrTooLarge, false, true, "more than the database's max_allowed_packet"},
	1406: {conf.ErrTooLarge, false, false, "more than a column holds"},

	1021: {conf.ErrNoSpace, false, false, "the database's disk is full"},
	1114: {conf.ErrNoSpace, false, false, "the database's table space is full"},

	1194: {conf.ErrCorrupt, false, false, "the database says that a table is damaged"},
	1712: {conf.ErrCorrupt, false, false, "the database says that an index is damaged"},
}

// diskFull matches the database's errors for a full disk: "errno: 28", "error 28",
// "OS errno 28".
var diskFull = regexp.MustCompile(`(?i)(error|errno:?) 28\b|no space left`)

// classify returns the class of err, and reports whether err comes from the database or its
// connection.
func classify(err error) (class, bool) {
	var e *mysql.MySQLError
	var n net.Error
	switch {
	case errors.As(err, &e):
		c, known := classes[e.Number]
		if !known {
			c = class{conf.ErrUnavailable, false, false, "the database failed"}
		}
		if diskFull.MatchString(e.Message) {
			c = class{conf.ErrNoSpace, false, false, "the database's disk is full"}
		}
		c.detail = fmt.Sprintf("%s (error %d)", c.detail, e.Number)
		return c, true
	case errors.Is(err, mysql.ErrPktTooLarge):
		return class{conf.ErrTooLarge, false, true, "more than the maxAllowedPacket of the DSN"}, true
	case errors.As(err, &n):
		// A dial error names the address and the system's error.
		return class{conf.ErrUnavailable, false, true, n.Error()}, true
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, mysql.ErrMalformPkt),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, sql.ErrConnDone):
		return class{conf.ErrUnavailable, true, true, "the connection to the database was lost"}, true
	}
	for _, refused := range []error{
		mysql.ErrNoTLS, mysql.ErrCleartextPassword, mysql.ErrNativePassword, mysql.ErrOldPassword,
		mysql.ErrUnknownPlugin, mysql.ErrOldProtocol,
	} {
		if errors.Is(err, refused) {
			return class{conf.ErrUnavailable, false, true, refused.Error()}, true
		}
	}
	var cert *tls.CertificateVerificationError
	var name x509.HostnameError
	if errors.As(err, &cert) || errors.As(err, &name) {
		return class{conf.ErrUnavailable, false, true, "the database's certificate is not accepted"}, true
	}
	return class{conf.ErrUnavailable, false, true, fmt.Sprintf("the database failed (%T)", err)}, false
}

// uncertain is the error of a COMMIT whose outcome is unknown.
type uncertain struct{ error }

func (e uncertain) Unwrap() error { return e.error }

// failure wraps a sentinel of package diamond around err. It is the only place that
// translates errors of the driver.
func failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var known *conf.Error
	var schema *SchemaError
	var commit uncertain
	switch ended := ended(ctx); {
	case errors.As(err, &commit) && ended != nil:
		return &conf.Error{Err: fmt.Errorf("%w: %w", conf.ErrUnknownOutcome, ended)}
	case errors.As(err, &commit):
		c, _ := classify(commit.error)
		return conf.Errorf(conf.ErrUnknownOutcome, "while the transaction was committed, %s", c.detail)
	case errors.As(err, &known), errors.As(err, &schema):
		return err
	case ended != nil:
		return ended
	}
	c, _ := classify(err)
	return conf.Errorf(c.sentinel, "%s", c.detail)
}

// joinEnd returns the error of a call whose context ended during a retry. It includes told,
// the database's error of the previous try.
func joinEnd(ctx context.Context, told error) error {
	c, _ := classify(told)
	return &conf.Error{Err: fmt.Errorf("%w: %w", conf.Errorf(c.sentinel, "%s", c.detail), ended(ctx))}
}

func isUncertain(err error) bool {
	var commit uncertain
	return errors.As(err, &commit)
}

// again reports whether a transaction that failed with err was rolled back and may be
// retried.
func again(err error) bool {
	var commit uncertain
	var known *conf.Error
	if errors.As(err, &commit) || errors.As(err, &known) {
		return false
	}
	c, _ := classify(err)
	return c.again
}

// useless reports whether a connection that returned err must not be used again.
func useless(err error) bool {
	var known *conf.Error
	if errors.As(err, &known) {
		return false
	}
	c, _ := classify(err)
	return c.drop
}

func isDuplicate(err error) bool { return hasNumber(err, duplicateKey) }

// refusesCommit reports whether err, as the answer to a COMMIT, means that the transaction
// was certainly rolled back: a cluster found a conflict, or the database has become
// read-only.
func refusesCommit(err error) bool {
	return hasNumber(err, deadlock) || hasNumber(err, 3101) || hasNumber(err, 1290) || hasNumber(err, 1792) || hasNumber(err, 1836)
}

func hasNumber(err error, number uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == number
}

// ended returns an error if ctx has ended, and nil otherwise.
func ended(ctx context.Context) error { return storage.Ended(ctx, "mysqlstore") }
