package diamond

import (
	"log/slog"
	"time"

	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/internal/follower"
)

// ServerOption changes a default of [NewServer].
type ServerOption interface{ applyServer(*engine.Config) }

// ClientOption changes a default of [NewClient].
type ClientOption interface{ applyClient(*follower.Config) }

// Option changes a default that servers and clients share.
type Option interface {
	ServerOption
	ClientOption
}

type serverOption func(*engine.Config)

func (o serverOption) applyServer(c *engine.Config) { o(c) }

type clientOption func(*follower.Config)

func (o clientOption) applyClient(c *follower.Config) { o(c) }

type loggerOption struct{ logger *slog.Logger }

func (o loggerOption) applyServer(c *engine.Config)   { c.Logger = o.logger }
func (o loggerOption) applyClient(c *follower.Config) { c.Logger = o.logger }

// WithLogger sets the logger. By default nothing is logged. No record contains the
// content of a configuration.
func WithLogger(logger *slog.Logger) Option { return loggerOption{logger} }

// WithMaxContent sets the maximum size of one content in bytes. The default is
// [DefaultMaxContent]. Larger contents fail with ErrTooLarge.
func WithMaxContent(bytes int64) ServerOption {
	return serverOption(func(c *engine.Config) { c.MaxContent = bytes })
}

// WithCacheBytes sets the maximum size in bytes of all contents that the server keeps
// in memory. The default is 256 MiB.
func WithCacheBytes(bytes int64) ServerOption {
	return serverOption(func(c *engine.Config) { c.CacheBytes = bytes })
}

// WithFeedInterval sets the interval at which the server reads its storage to find
// changes that nobody has told it of. It varies by up to a tenth, so that servers do not
// read a shared storage at the same time. The default is 500 ms.
func WithFeedInterval(d time.Duration) ServerOption {
	return serverOption(func(c *engine.Config) { c.FeedInterval = d })
}

// WithLimits sets the maximum number of parked polls and watches, and the maximum number
// of commits in flight. Above them requests fail with ErrOverloaded. The defaults are
// 100,000 and 1,024.
func WithLimits(waiters, inflight int) ServerOption {
	return serverOption(func(c *engine.Config) { c.MaxWaiters, c.MaxInflight = waiters, inflight })
}

// The maximum numbers of keys in the key sets that clients poll, unless [WithSetKeys] sets
// others.
const (
	DefaultSetKeys        = engine.DefaultSetKeys        // all together
	DefaultAddressSetKeys = engine.DefaultAddressSetKeys // those that one address sent
)

// WithSetKeys sets the maximum number of keys in all key sets that clients poll, and the
// maximum number in the sets that one address has sent. The defaults are
// [DefaultSetKeys] (4,194,304) and [DefaultAddressSetKeys] (131,072). A set counts once,
// however many clients poll it. An address never gets more than it leaves for the
// others. A poll with a set above a limit fails with ErrOverloaded.
//
// Raise perAddress if many clients share one address, such as that of a proxy. Lower
// total if memory is scarce.
func WithSetKeys(total, perAddress int64) ServerOption {
	return serverOption(func(c *engine.Config) { c.MaxSetKeys, c.AddressSetKeys = total, perAddress })
}

// WithLocalFiles makes the client keep snapshots in files and read overrides from
// files. By default it does neither. localfile.Open makes a [LocalFiles].
func WithLocalFiles(files LocalFiles) ClientOption {
	return clientOption(func(c *follower.Config) { c.Files = files })
}

// WithClientInfo sets what the client says about itself. If the ID is empty, the
// client takes that of its local files, or a random one.
func WithClientInfo(info ClientInfo) ClientOption {
	return clientOption(func(c *follower.Config) { c.Info = info })
}

// WithReplica makes the server keep a copy of its storage in local, which is usually on
// the node's disk. Several servers may share the storage, but no two may share local. By
// default a server keeps no replica, because an embedded storage does not need one.
//
// A server with a replica that is not empty starts from it, whatever the state of the
// storage, and then reads the changes since. While the storage cannot be reached, the
// server serves reads from the replica, marked as stale, and refuses publishes with
// ErrUnavailable. It reads contents that are not in memory from the replica, so that the
// reads and polls of a warm server do not load the storage. The server writes the replica
// after it serves a change: a slow, full or failing disk delays nobody. It rebuilds the
// replica from the storage if the replica is damaged, or if the storage no longer keeps
// the changes that follow it. A replica that cannot even be opened has to be
// removed by the caller; see boltstore.SetAside.
//
// NewServer fails with ErrInvalid if local has taken changes of its own, and with
// ErrOtherStore if it is a copy of a store other than the storage's. The caller closes
// local, after the server.
func WithReplica(local ReplicaStorage) ServerOption {
	return serverOption(func(c *engine.Config) { c.Replica = local })
}

// WithSelfCheck sets the interval at which the server compares its memory and its replica
// with its storage. It varies by up to a tenth. The default is 5 minutes.
//
// A check compares the record of every key, the contents in memory, and some of the
// contents in the storage and in the replica: 16 MiB of each, where the next check
// continues. It pauses between the pages that it reads. A difference that a change during
// the check explains does not count. One check examines at most 1,000 keys that seem to
// differ, and the next one examines the rest.
//
// The storage's log decides what was published. The server verifies the log by the chain
// if it can. The server loads a record or content again if its memory differs from the
// log, and rebuilds the replica if that differs. It reports a storage whose entry or
// content disagrees with the log, as after a manual change, for as long as they disagree,
// and keeps serving what was published. Each difference is logged once, with its key and
// revision, and counted in ServerStatus.Counters.Divergences. If a check cannot be
// completed, because the storage cannot be read or is damaged, or because too many keys
// seem to differ, the server logs the reason and returns it in ServerStatus.CheckErr.
func WithSelfCheck(every time.Duration) ServerOption {
	return serverOption(func(c *engine.Config) { c.CheckInterval = every })
}

// WithUngoverned makes the server serve a governed store without regard to its rights:
// everybody who can reach the server may read and change every value. It is meant for
// repairs. By default a server on a governed store is not ready, and answers every request
// with ErrUnavailable, so that a program that does not know of rights never goes past them.
// The option does nothing on a store that is not governed. The server logs a warning when it
// ignores rights.
func WithUngoverned() ServerOption {
	return serverOption(func(c *engine.Config) { c.Ungoverned = true })
}
