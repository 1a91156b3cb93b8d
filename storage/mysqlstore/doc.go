// Package mysqlstore is a [diamond.Storage] and [diamond.Replica] in a MySQL or
// MariaDB, which any number of servers share: MySQL 5.7 and later, MariaDB 10.5
// and later, tables of InnoDB. Acknowledged changes are as durable as the
// database is set to be.
//
// # Make one
//
// [Open] takes a DSN, [New] the caller's *sql.DB. The schema is made by
// [Migrate], or with [WithMigrate]; [Print] writes what that runs, for a
// database administrator, and [Pending] says what is left to do. A store needs
// the rights SELECT, INSERT, UPDATE and DELETE; a migration CREATE, ALTER and
// INDEX besides.
//
// # How it keeps the order
//
// Each transaction that writes first locks the one row of diamond_counter, and
// runs at READ COMMITTED: so revisions are dense and in the order of commits,
// and a reader of diamond_change sees a part of the log from its beginning,
// never one with a hole. Nothing else may write these tables. Each read is one
// statement. Point a store at the primary only, or at a replica that keeps the
// order of commits, and then to read only.
//
// To write costs some ten round trips a transaction, however many change sets
// it has, but for statements that would be too large. A call of Changes that
// finds nothing new is one statement.
//
// # What is where
//
//   - diamond_counter: the head, and the horizon of the log
//   - diamond_change: the log and the kept versions, each with its content
//   - diamond_entry: the current view, which points into diamond_change
//   - diamond_request: the outcomes of request ids
//   - diamond_schema: which migrations have been applied
//
// # Limits
//
// A content may have max_allowed_packet less 64 KiB, see [Store.MaxContent]: the
// default of MariaDB (16 MiB) and that of MySQL 8 (64 MiB) permit the usual 10
// MiB, that of MySQL 5.7 (4 MiB) does not, which is logged. An author or an
// address may have 4 KiB.
//
// # Errors
//
// A transaction that met another one, or lost its connection before it was to
// be committed, runs again, three times at most; then it is
// [diamond.ErrUnavailable]. What fails while it is committed is
// [diamond.ErrUnknownOutcome]: sending the set again under its request id
// settles it. No error quotes the DSN or a content.
//
// A node that freezes in the middle of a transaction, or is cut off, holds the
// lock of the counter until the database ends its connection: with [OpenDB]
// that is 30 s. Elsewhere set wait_timeout as low.
package mysqlstore
