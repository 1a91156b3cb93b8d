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

// WithLogger sets where log records go; by default nowhere. No record ever
// holds a content.
func WithLogger(logger *slog.Logger) Option { return loggerOption{logger} }

// WithMaxContent sets how many bytes one content may have; by default
// [DefaultMaxContent]. Larger ones are refused with ErrTooLarge.
func WithMaxContent(bytes int64) ServerOption {
	return serverOption(func(c *engine.Config) { c.MaxContent = bytes })
}

// WithCacheBytes sets how many bytes of content the server keeps in memory; by
// default 256 MiB.
func WithCacheBytes(bytes int64) ServerOption {
	return serverOption(func(c *engine.Config) { c.CacheBytes = bytes })
}

// WithFeedInterval sets how often the server asks its storage for changes that
// it was not told of, with jitter; by default 500 ms.
func WithFeedInterval(d time.Duration) ServerOption {
	return serverOption(func(c *engine.Config) { c.FeedInterval = d })
}

// WithLimits sets how many polls and watches may be parked and how many commits
// may be in flight before more are shed with ErrOverloaded; by default 100,000
// and 1,024.
func WithLimits(waiters, inflight int) ServerOption {
	return serverOption(func(c *engine.Config) { c.MaxWaiters, c.MaxInflight = waiters, inflight })
}

// How many keys the key sets that clients poll may have unless [WithSetKeys] says
// otherwise.
const (
	DefaultSetKeys        = engine.DefaultSetKeys        // all together
	DefaultAddressSetKeys = engine.DefaultAddressSetKeys // those that one address sent
)

// WithSetKeys sets how many keys the key sets that clients poll may have together,
// and how many those that one address sent may have; by default [DefaultSetKeys]
// (4,194,304) and [DefaultAddressSetKeys] (131,072). A set counts once, however many
// clients poll it, and an address never gets more than is left for the others. Polls
// with sets above it fail with ErrOverloaded.
//
// Set the second higher where many clients come from one address, that of a proxy, or
// the first lower where memory is scarce.
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

// WithReplica has the server keep a copy of its storage, which it shares with
// other servers, in local, which is its alone: on the node's disk. By default
// it keeps none, as an embedded storage needs none.
//
// A server whose copy is not empty starts from it, however the storage is, and
// catches up by the changes since. While the storage is away it serves reads
// from it, marked stale, and refuses publishes with ErrUnavailable. Contents
// that are not in memory are read from the copy, so that a warm server's reads
// and polls cost the storage nothing. The copy is written behind what is
// served: a slow, full or failing disk delays nobody. It is made anew by itself
// where it is damaged or the storage no longer keeps what follows it. One that
// cannot even be opened is the caller's to remove; see boltstore.SetAside.
//
// NewServer fails with ErrInvalid when local has taken changes of its own, and
// with ErrOtherStore when it is a copy of another store than the storage's. The
// copy is the caller's to close, after the server.
func WithReplica(local ReplicaStorage) ServerOption {
	return serverOption(func(c *engine.Config) { c.Replica = local })
}

// WithSelfCheck sets how often the server compares what it holds with its
// storage, with jitter; by default every 5 minutes.
//
// A check compares the record of every key, the contents in memory, and some
// of the contents in the storage and in the copy on disk (16 MiB of each, the
// next check goes on from there), with a pause between the pages that it
// reads. What a change explains that came meanwhile is no difference. A check
// looks closely at 1,000 keys that seem to differ, and the next one at the rest. The
// truth is what the storage's log says was published, which the server
// verifies by its chain where it can: memory that differs from it is loaded
// anew, a copy on disk is made anew, and a storage whose entry or content does
// not agree with its own log, as after a change by hand, is reported for as
// long as that is so, while the server goes on serving what was published. Each
// difference is logged once, with its key and revision, and counted in
// ServerStatus.Counters.Divergences. A check that is not completed, as the
// storage cannot be read or is damaged, or as too many keys seem to differ, is
// logged and told by ServerStatus.CheckErr.
func WithSelfCheck(every time.Duration) ServerOption {
	return serverOption(func(c *engine.Config) { c.CheckInterval = every })
}
