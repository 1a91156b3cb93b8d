// Package storage has helpers for implementations of [diamond.Storage]. These exist:
//
//   - storage/memstore keeps everything in memory. It is for tests, and for servers
//     whose configuration is published again at every start.
//   - storage/boltstore keeps everything in one file on a local disk. It is the
//     embedded default.
//   - storage/mysqlstore uses a MySQL or MariaDB database that several servers share.
//
// To write another one, read the clauses of [diamond.Storage], start from memstore,
// use [Plan] for the decisions that all storages share, and run storage/storagetest
// until it passes.
package storage
