// Package mysqlstore is a [diamond.Storage] and [diamond.Replica] in a MySQL or MariaDB
// database, which several servers can share. It needs MySQL 5.7 or MariaDB 10.5, or a
// later version, with InnoDB tables. Acknowledged changes are as durable as the database's
// settings make them.
//
// # Creating a store
//
// [Open] takes a DSN, and [New] the caller's *sql.DB. [Migrate] or the option
// [WithMigrate] creates the schema. [Print] writes its statements for a database
// administrator, and [Pending] lists the missing migrations. A store needs the rights
// SELECT, INSERT, UPDATE and DELETE; a migration also needs CREATE, ALTER and INDEX.
//
// # Order of revisions
//
// Each writing transaction first locks the one row of diamond_counter, and runs at READ
// COMMITTED. So revisions are dense and in commit order, and a reader of diamond_change
// sees a prefix of the log, never one with a gap. Nothing else may write to these tables.
// Each read is one statement. Use a store only on the primary, or for reading only on a
// replica that keeps the order of commits.
//
// A writing transaction takes about ten round trips, regardless of the number of its
// change sets, unless statements would become too large. A call of Changes that finds
// nothing new is one statement.
//
// # Tables
//
//   - diamond_counter: the head, and the horizon of the log
//   - diamond_change: the log and the kept versions, each with its content
//   - diamond_entry: the current view, which points into diamond_change
//   - diamond_request: the outcomes of request ids
//   - diamond_schema: the applied migrations
//
// # Limits
//
// A content may have max_allowed_packet less 64 KiB; see [Store.MaxContent]. The defaults of
// MariaDB (16 MiB) and MySQL 8 (64 MiB) allow the usual 10 MiB. That of MySQL 5.7 (4 MiB)
// does not, which the store logs. An author or an address may have 4 KiB.
//
// # Errors
//
// A transaction that conflicts with another one, or loses its connection before its commit,
// is retried up to three times and then fails with [conf.ErrUnavailable]. A failure
// during the commit is [conf.ErrUnknownOutcome]; sending the set again under its request
// id returns the outcome. No error quotes the DSN or a content.
//
// A node that freezes or is cut off during a transaction holds the lock of the counter until
// the database ends its connection. With [OpenDB] that takes 30 s. With another pool, set
// wait_timeout as low.
package mysqlstore
