// Package follower is the client: it follows keys of a server, and keeps their values in
// memory and on disk. [Client] is what callers use. Each other file has one part.
//
// # What the client knows
//
// A slot holds everything about one key: the known state, the state that callers see, and
// the listeners. All slots change under one lock, a whole answer of a server at a time, so
// that nobody sees a part of a change set. The visible state is an immutable value behind an
// atomic pointer, so that Get takes no lock.
//
// The known state never goes back, whatever server answers: it is ordered by the generation
// of the epoch, and within a generation by View. A snapshot from the disk is a known state
// too, so a restart does not go back either.
//
// # How values arrive
//
// The loader makes the first fetch of a key. It reads the override and the snapshot in
// parallel with asking servers, so that neither a slow disk nor a silent server delays the
// other. From then on the key belongs to the set that the poller polls for. One long poll
// covers all keys. Its answer is applied as a whole, after the contents that it only names
// have been fetched, and the position of the answer is then that of all keys. A key that
// misses a content, or that a server refuses, is followed up by the fetcher or by refusals,
// and does not delay the others.
//
// # How listeners are called
//
// Each listener has its own worker. A change only wakes the worker. The worker then takes the
// present state of the slot, so the latest value wins and a slow listener delays nobody. The
// reporter tells the server which values were applied.
//
// # Files
//
// A call of a file system may hang for ever. Each runs in its own goroutine, and the client
// continues without the result after two seconds. A result that comes later is still used.
// One writer writes the snapshots behind what is shown.
package follower
