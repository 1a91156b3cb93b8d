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

	diamond "github.com/linnaname/gdiamond"
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
	lockWait: {diamond.ErrUnavailable, true, false, "another transaction holds the lock"},
	deadlock: {diamond.ErrUnavailable, true, false, "it met another transaction"},

	1290: {diamond.ErrUnavailable, true, true, "the database is read-only"},
	1792: {diamond.ErrUnavailable, true, true, "the database is read-only"},
	1836: {diamond.ErrUnavailable, true, true, "the database is read-only"},

	// Errors that need a change of the DSN or of the database.
	1193: {diamond.ErrUnavailable, false, true, "the database does not know a variable that a parameter of the DSN sets: take it out of the DSN"},
	1231: {diamond.ErrUnavailable, false, true, "the database refuses the value of a variable that a parameter of the DSN sets: correct it"},
	1232: {diamond.ErrUnavailable, false, true, "a parameter of the DSN sets a variable to a value of the wrong type: text needs quotes, as in sql_mode=%27ANSI%27"},
	1238: {diamond.ErrUnavailable, false, true, "a parameter of the DSN sets a variable that cannot be set: take it out of the DSN"},
	1229: {diamond.ErrUnavailable, false, true, "a parameter of the DSN sets a variable that is a global one: take it out of the DSN"},
	1298: {diamond.ErrUnavailable, false, true, "the database does not know the time zone of the DSN's parameter time_zone"},
	1115: {diamond.ErrUnavailable, false, true, "the database does not know the character set of the DSN"},
	1273: {diamond.ErrUnavailable, false, true, "the database does not know the collation of the DSN"},
	1064: {diamond.ErrUnavailable, false, true, "the database does not understand a statement: a value of the DSN's parameters may need quotes; else it is no MySQL 5.7 or later, or MariaDB 10.5 or later"},
	1251: {diamond.ErrUnavailable, false, true, "the database's way to authenticate the user is not known: give the user mysql_native_password or caching_sha2_password"},
	1524: {diamond.ErrUnavailable, false, true, "the database has not loaded what authenticates the user: see its plugins"},
	1820: {diamond.ErrUnavailable, false, true, "the user's password has expired: set a new one"},
	1862: {diamond.ErrUnavailable, false, true, "the user's password has expired: set a new one"},
	3118: {diamond.ErrUnavailable, false, true, "the user's account is locked: unlock it"},
	4151: {diamond.ErrUnavailable, false, true, "the user's account is locked: unlock it"},
	3159: {diamond.ErrUnavailable, false, true, "the database takes connections with TLS only: set tls in the DSN"},
	1175: {diamond.ErrUnavailable, false, false, "sql_safe_updates is on for the connections: turn it off"},
	1104: {diamond.ErrUnavailable, false, false, "max_join_size is too small for the connections: set sql_big_selects"},
	1286: {diamond.ErrUnavailable, false, false, "the database has no InnoDB: enable it"},
	1071: {diamond.ErrUnavailable, false, false, "the database's limit of keys is too low: enable innodb_large_prefix, or use MySQL 5.7 or later"},
	1036: {diamond.ErrUnavailable, false, true, "a table is read-only: see the rights of the database's files"},
	1047: {diamond.ErrUnavailable, true, true, "the database's node is not ready, as one that has lost its cluster"},
	3100: {diamond.ErrUnavailable, true, true, "the database's cluster refused the transaction: see its log"},
	3101: {diamond.ErrUnavailable, true, false, "the database's cluster rolled the transaction back, as it met another one"},
	1785: {diamond.ErrUnavailable, false, false, "the database's enforce_gtid_consistency forbids a table that is not InnoDB: convert it"},
	1206: {diamond.ErrUnavailable, false, false, "the database has no room for locks: raise innodb_buffer_pool_size"},
	1041: {diamond.ErrUnavailable, false, true, "the database is out of memory"},
	1037: {diamond.ErrUnavailable, false, true, "the database is out of memory"},
	1135: {diamond.ErrUnavailable, false, true, "the database cannot begin a thread: see its limits"},
	1370: {diamond.ErrUnavailable, false, false, "the user has no right to do that"},
	1028: {diamond.ErrUnavailable, false, false, "the database's directory for temporary files cannot be used: see tmpdir"},

	1053: {diamond.ErrUnavailable, true, true, "the database shuts down"},
	1927: {diamond.ErrUnavailable, true, true, "the connection was killed"},
	4031: {diamond.ErrUnavailable, true, true, "the connection was idle for too long"},
	1317: {diamond.ErrUnavailable, false, false, "the statement was interrupted"},
	1969: {diamond.ErrUnavailable, false, false, "the statement took longer than the database permits"},
	3024: {diamond.ErrUnavailable, false, false, "the statement took longer than the database permits"},
	1040: {diamond.ErrUnavailable, false, true, "the database has too many connections"},
	1203: {diamond.ErrUnavailable, false, true, "the user has too many connections"},
	1226: {diamond.ErrUnavailable, false, true, "the user has used up a resource of the database"},
	1129: {diamond.ErrUnavailable, false, true, "the database refuses this host after many errors"},
	1130: {diamond.ErrUnavailable, false, true, "the database refuses this host"},

	1045:         {diamond.ErrUnavailable, false, true, "the database refuses the user or the password"},
	1698:         {diamond.ErrUnavailable, false, true, "the database refuses the user or the password"},
	1044:         {diamond.ErrUnavailable, false, true, "the user has no right to the database"},
	1142:         {diamond.ErrUnavailable, false, false, "the user has no right to do that to a table"},
	1143:         {diamond.ErrUnavailable, false, false, "the user has no right to a column"},
	1227:         {diamond.ErrUnavailable, false, false, "the user has no right to do that"},
	1046:         {diamond.ErrUnavailable, false, false, "the DSN names no database"},
	1049:         {diamond.ErrUnavailable, false, true, "there is no such database"},
	noSuchColumn: {diamond.ErrUnavailable, false, false, "a column is missing: the tables are not those that gdiamond made"},
	noSuchTable:  {diamond.ErrUnavailable, false, false, "a table is missing: run `gdiamond migrate`"},
	1665:         {diamond.ErrUnavailable, false, false, "binlog_format must be ROW or MIXED"},

	1153: {diamond.ErrTooLarge, false, true, "more than the database's max_allowed_packet"},
	1406: {diamond.ErrTooLarge, false, false, "more than a column holds"},

	1021: {diamond.ErrNoSpace, false, false, "the database's disk is full"},
	1114: {diamond.ErrNoSpace, false, false, "the database's table space is full"},

	1194: {diamond.ErrCorrupt, false, false, "the database says that a table is damaged"},
	1712: {diamond.ErrCorrupt, false, false, "the database says that an index is damaged"},
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
			c = class{diamond.ErrUnavailable, false, false, "the database failed"}
		}
		if diskFull.MatchString(e.Message) {
			c = class{diamond.ErrNoSpace, false, false, "the database's disk is full"}
		}
		c.detail = fmt.Sprintf("%s (error %d)", c.detail, e.Number)
		return c, true
	case errors.Is(err, mysql.ErrPktTooLarge):
		return class{diamond.ErrTooLarge, false, true, "more than the maxAllowedPacket of the DSN"}, true
	case errors.As(err, &n):
		// A dial error names the address and the system's error.
		return class{diamond.ErrUnavailable, false, true, n.Error()}, true
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, mysql.ErrMalformPkt),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, sql.ErrConnDone):
		return class{diamond.ErrUnavailable, true, true, "the connection to the database was lost"}, true
	}
	for _, refused := range []error{
		mysql.ErrNoTLS, mysql.ErrCleartextPassword, mysql.ErrNativePassword, mysql.ErrOldPassword,
		mysql.ErrUnknownPlugin, mysql.ErrOldProtocol,
	} {
		if errors.Is(err, refused) {
			return class{diamond.ErrUnavailable, false, true, refused.Error()}, true
		}
	}
	var cert *tls.CertificateVerificationError
	var name x509.HostnameError
	if errors.As(err, &cert) || errors.As(err, &name) {
		return class{diamond.ErrUnavailable, false, true, "the database's certificate is not accepted"}, true
	}
	return class{diamond.ErrUnavailable, false, true, fmt.Sprintf("the database failed (%T)", err)}, false
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
	var known *diamond.Error
	var schema *SchemaError
	var commit uncertain
	switch ended := ended(ctx); {
	case errors.As(err, &commit) && ended != nil:
		return &diamond.Error{Err: fmt.Errorf("%w: %w", diamond.ErrUnknownOutcome, ended)}
	case errors.As(err, &commit):
		c, _ := classify(commit.error)
		return diamond.Errorf(diamond.ErrUnknownOutcome, "while the transaction was committed, %s", c.detail)
	case errors.As(err, &known), errors.As(err, &schema):
		return err
	case ended != nil:
		return ended
	}
	c, _ := classify(err)
	return diamond.Errorf(c.sentinel, "%s", c.detail)
}

// joinEnd returns the error of a call whose context ended during a retry. It includes told,
// the database's error of the previous try.
func joinEnd(ctx context.Context, told error) error {
	c, _ := classify(told)
	return &diamond.Error{Err: fmt.Errorf("%w: %w", diamond.Errorf(c.sentinel, "%s", c.detail), ended(ctx))}
}

func isUncertain(err error) bool {
	var commit uncertain
	return errors.As(err, &commit)
}

// again reports whether a transaction that failed with err was rolled back and may be
// retried.
func again(err error) bool {
	var commit uncertain
	var known *diamond.Error
	if errors.As(err, &commit) || errors.As(err, &known) {
		return false
	}
	c, _ := classify(err)
	return c.again
}

// useless reports whether a connection that returned err must not be used again.
func useless(err error) bool {
	var known *diamond.Error
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
