// Package storage helps to write a [diamond.Storage], and says which exist.
//
//   - storage/memstore keeps everything in memory: for tests, and for centres
//     whose configuration is published anew at every start.
//   - storage/boltstore keeps one file on a local disk: the embedded default.
//   - storage/mysqlstore keeps a MySQL or MariaDB, which several servers share.
//
// To write one: read the clauses of [diamond.Storage], start from memstore, use
// [Plan] for what all storages decide alike, and run storage/storagetest until
// it passes. The suite is the definition of done.
package storage
