// Package engine is the server without sockets: it serves reads and polls from memory, and
// writes to a storage. [Server] is what callers use. Each other file has one part.
//
// A storage may be shared by several servers, none of which knows the others. What they
// agree on is the log of the storage: every server serves exactly the changes in the log,
// in order, whichever server has committed them.
//
// # How a change travels
//
// The committer collects the change sets of publishers, and commits all that arrived during
// one transaction in the next. The feed follows the log. It takes the changes of its own
// server from the results of the commits, and reads those of other servers when a nudge
// says that there are some, and at an interval, because nudges may be lost. It verifies by
// the chain that the changes follow what is served, and then changes the index, stores the
// new state, and wakes the waiters for the changed keys. A publisher is answered only after
// that, so that it can read its own writes from this server.
//
// # What readers see
//
// The index has the newest record of each key, without its content. Readers take no lock: a
// record at or below the position of a state belongs to that state, and a record above it
// belongs to a state that is about to be stored. [served] says how a reader deals with that.
// Contents are in a cache, and otherwise in the replica or the storage.
//
// A deleted key leaves a tombstone in the index for a while, so that a client that names
// only its position learns of the deletion. The floor of a state is the revision above which
// all tombstones are there. A client below the floor has to say what it holds.
//
// # When the storage fails
//
// Reads and polls need no storage, so they continue, marked as stale. The replica lets a
// server start without its storage. If the storage has lost changes that this server has
// served, the feed makes it begin a new epoch, so that no revision ever stands for two
// changes without anybody noticing. The checker compares memory, replica and storage with
// the log from time to time.
//
// # Goroutines
//
// Only the feed's goroutine changes what is served. Others run the committer, the checker,
// the sweeper, the writer of the replica, each callback of OnCommitted while it runs, and
// each load of a content. A parked poll blocks in the caller's goroutine, which keeps little
// on its stack.
package engine
