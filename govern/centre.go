package govern

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
)

const (
	// probeGap is the time between two look-ups of request ids of refused sets for one
	// principal, once it has used up probeBurst of them. Each takes a transaction of the
	// storage.
	probeGap   = 100 * time.Millisecond
	probeBurst = 20
)

// Centre is a server that several teams share: it decides about each request whether the
// caller may do that. It is a [diamond.Server], built on another. [New] makes one. It is safe
// for concurrent use.
//
// Who the caller is stands in the context of the request: the server end of a transport
// proves it by [Centre.Prove], and [Centre.As] says it in one process. A caller without a
// proof is anonymous.
//
// A store is governed once it has a [Marker]. Until then a Centre is open, as a server
// without one: everybody may do everything but touch the namespaces of the system. On a
// governed store, what no grant permits fails with ErrDenied, in words that do not say
// whether anything exists. The documents by which the Centre decides are read and written as
// entries of [SystemNamespace], in the same change sets as other keys, by those who may.
//
// A Centre decides by the documents as of the position that it answers with, or newer. While
// the storage cannot be reached it decides by those that it has.
type Centre struct {
	server diamond.Server
	door   engine.System
	log    *slog.Logger

	judge     *judge
	decisions *decisions
	catchUps  *catchUps
	probes    *sourceRates // of look-ups of the request ids of refused sets
	strangers *strangers

	stopObserving func()
	stopCatchUps  context.CancelFunc
	draining      atomic.Bool
	closing       sync.Once
}

// Option is an option of [New].
type Option func(*options)

type options struct {
	log      *slog.Logger
	deny     *DenyFile
	required bool
	proofs   int // unknown ones a minute from one address
}

// WithLogger sets where the Centre logs denials in observe mode, at most one record a second,
// and documents that it cannot read. No record has a content or a secret. The default is
// slog.Default().
func WithLogger(log *slog.Logger) Option {
	return func(o *options) { o.log = log }
}

// WithDenyFile makes the Centre refuse every request of the principals in a deny file, whatever
// the documents say. The caller runs the file. By default there is none.
func WithDenyFile(file *DenyFile) Option {
	return func(o *options) { o.deny = file }
}

// WithRequired makes the Centre refuse everything with ErrUnavailable until the store is
// governed. By default a Centre on a store that is not governed is open. Give it where
// [SetUp] is about to make the store governed, or has made it so.
func WithRequired() Option {
	return func(o *options) { o.required = true }
}

// WithUnknownProofs sets the number of requests a minute that one address may send with a
// proof of identity that the server does not know, such as a wrong token. That many may come
// at once. Further ones fail with ErrOverloaded and a RetryAfter, before the storage is asked;
// in observe mode they count as anonymous, as all whose proof is not valid. Requests whose
// proof is known are not counted and always served, whatever others send from the same
// address. An IPv6 network of 64 bits counts as one address. The default is
// [DefaultUnknownProofs].
func WithUnknownProofs(perMinute int) Option {
	return func(o *options) { o.proofs = perMinute }
}

// New returns a Centre on a server that [diamond.NewServer] has made. From then on the Centre
// closes the server, and callers ask only the Centre. Errors wrap [conf.ErrInvalid]: server
// is nil or of another kind, or a number in an option is below 1.
func New(server diamond.Server, opts ...Option) (*Centre, error) {
	o := options{log: slog.Default(), proofs: DefaultUnknownProofs}
	for _, opt := range opts {
		opt(&o)
	}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	if o.proofs < 1 {
		return nil, conf.WithOp("new centre", conf.Key{}, conf.Invalidf("unknown proofs: %d a minute, less than 1", o.proofs))
	}
	inner, ok := server.(interface{ System() engine.System })
	if !ok {
		return nil, conf.WithOp("new centre", conf.Key{}, conf.Invalidf("server: is not one that diamond.NewServer has made"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Centre{
		server: server, door: inner.System(), log: o.log,
		judge: newJudge(o.log, o.deny), decisions: newDecisions(),
		probes: newSourceRates(rate.Every(probeGap), probeBurst), strangers: newStrangers(o.proofs),
		stopCatchUps: cancel,
	}
	c.judge.required = o.required
	c.catchUps = newCatchUps(ctx, c.door.CatchUp)
	c.stopObserving = c.door.Observe(c.judge.observe)
	return c, nil
}

// Stats returns what the Centre has decided so far.
func (c *Centre) Stats() Stats {
	s := c.judge.tally.stats()
	s.Mode, s.Decisions = c.judge.mode(), uint64(c.decisions.made())
	return s
}

// Status implements diamond.Server. Its positions are sealed, as all that the Centre gives.
func (c *Centre) Status() conf.ServerStatus {
	status := c.door.Status()
	now := c.judge.now.Load() // no older than the position
	seal := now.seal.seal
	if now.mode == "" { // there may be a secret that is not known yet
		seal = func(p conf.Position) conf.Position {
			p.Chain = conf.Chain{}
			return p
		}
	}
	status.Ungoverned = false // of the server's own door, which nobody asks
	status.Ready = status.Ready && now.mode != ""
	status.Position = seal(status.Position)
	if status.Replica != nil {
		replica := *status.Replica
		replica.Position = seal(replica.Position)
		status.Replica = &replica
	}
	return status
}

// Nudge implements diamond.Server. It takes the positions that OnCommitted gives.
func (c *Centre) Nudge(p conf.Position) { c.server.Nudge(p) }

// OnCommitted implements diamond.Server. The positions are not sealed, because they are for
// the other servers of the store.
func (c *Centre) OnCommitted(committed func(conf.Position)) (stop func()) {
	return c.server.OnCommitted(committed)
}

// Drain implements diamond.Server.
func (c *Centre) Drain() {
	c.draining.Store(true)
	c.server.Drain()
}

// Close implements diamond.Server. It closes the server that the Centre was made on.
func (c *Centre) Close() error {
	err := c.server.Close()
	c.closing.Do(func() {
		c.stopCatchUps()
		c.stopObserving()
	})
	return err
}
