// Package mysqlstore is a [diamond.Storage] and [diamond.Replica] in a MySQL or
// MariaDB.
package mysqlstore
