// Package conf is the vocabulary of a configuration centre: what is stored, what is
// asked, what is answered, and the errors.
//
// A [Key] names an [Entry]. A [ChangeSet] asks for changes, which are committed
// together as one revision. A [Position] is a point in the history of a store, and its
// [Chain] proves which history that is. [Error] adds the operation and the key to one
// of the sentinels such as [ErrNotFound].
//
// Applications seldom need this package, because package diamond has aliases of the
// names that they use. Authors of storages, of transports and of other servers do.
package conf
