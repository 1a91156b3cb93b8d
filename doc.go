// Package diamond is a configuration centre as a library. Applications keep
// their configuration in it and change it at run time. Every running instance
// follows the changes, and keeps its values while the centre has failed.
//
// A whole centre in one process, which is also the fake for your tests:
//
//	srv, err := diamond.NewServer(memstore.New())
//	client, err := diamond.NewClient(srv)
//	limits, err := diamond.Bind[Limits](ctx, client, diamond.NewKey("payment", "limits.yaml"))
//	limits.Get().RateLimit // lock-free, never nil, always the newest good value
//
// # The parts
//
// A [Storage] keeps the history of all changes: package storage/memstore in
// memory, storage/boltstore in one file, storage/mysqlstore in a database. A
// [Server], made by [NewServer], serves reads and polls from memory and writes
// to its storage; package server hosts one on a network. A [Client], made by
// [NewClient], reads and follows keys over a [Transport]: the server itself, or
// transport/httptransport over HTTP. Package namesrv tells clients which servers
// there are, and package localfile keeps what a client needs to start when none
// of them can be reached. Package dial puts these together: it opens the client of
// a program whose servers are on a network.
//
// # Values and revisions
//
// A [Key] names an [Entry]. All writes go through one counter: each committed
// [ChangeSet] is one revision of the whole store, dense and in commit order. A
// [Position] is a point in that history and proves with a hash chain which
// history it is; when history was lost, a new [conf.Epoch] begins and everyone finds out.
//
// # Reading
//
// [Client].Get reads a key from the operator's override file, else from a
// server, else from the last snapshot, and says which. From then on the key is
// kept up to date in memory. [Client].Subscribe calls a [Listener] with the
// present value and every newer one; [Bind] decodes it into a type of yours,
// and keeps the last good value when a new one does not decode or validate.
// [Client].Peek reads without following, and [Decode] makes a value of what it returns.
//
// # One key, several keys, a group
//
// What changes together belongs in one key, which [Bind] keeps as one value. When it has
// to be several keys, [Client].Together reads them and [Client].SubscribeTogether follows
// them, each time as of one position, and [Decode] makes values of them. [Follow] keeps a
// whole group, or what another [Filter] selects, in memory as of one position, and tells
// each change set once.
//
// # Errors
//
// What a caller can branch on is a sentinel of this package, to be tested with
// [errors.Is], at both ends of every transport. [Error] adds the operation and
// the key. No error and no log record ever holds a content.
package diamond
