package govern

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/lograte"
	"github.com/linnaname/gdiamond/internal/redact"
)

// judged is what the judge knows of one position.
type judged struct {
	policy *policy
	seal   *sealer // nil for an open store
	mode   string  // conf.ModeOpen, conf.ModeObserve or conf.ModeClosed; "" if no documents were observed yet
}

// Of what observe mode lets through, each kind is logged once a minute, so that a caller that
// asks often does not hide one that asks rarely. Above maxKinds, which bounds the memory that
// made-up names can take, the other kinds share one record a second.
const (
	kindEvery = time.Minute
	maxKinds  = 1000
)

// kind is what the records of observe mode differ in.
type kind struct {
	principal string // or the address from which a proof came that is not valid, with its reason as the namespace
	verb      Verb
	namespace string
}

// observed counts and logs what observe mode lets through. It is safe for concurrent use.
type observed struct {
	log   *slog.Logger
	tally *tally
	rest  lograte.Events // of the kinds that are not in kinds

	mu    sync.Mutex
	kinds map[kind]*lograte.Events
}

// logs reports whether to log k now, and how many like it were not logged before.
func (o *observed) logs(k kind) (others int64, ok bool) {
	o.mu.Lock()
	events := o.kinds[k]
	if events == nil && len(o.kinds) < maxKinds {
		if o.kinds == nil {
			o.kinds = make(map[kind]*lograte.Events)
		}
		events = new(lograte.Events)
		k.namespace = strings.Clone(k.namespace) // it may be a part of a large body
		o.kinds[k] = events
	}
	o.mu.Unlock()
	if events == nil {
		return o.rest.Log()
	}
	return events.LogOnceIn(kindEvery)
}

// access is what one principal may do, by the policy of one moment. It is not changed.
type access struct {
	*judged
	would     *observed
	principal string // "" for the anonymous
	barred    bool   // by the deny file
	void      <-chan struct{}
	rights    *rights // of values, in closed and observe mode
}

// may reports whether the principal may do verb on the canonical key.
func (a *access) may(verb Verb, key conf.Key) bool {
	switch {
	case a.mode == "":
		return false // no documents were observed yet
	case a.barred:
		return false
	case key.Namespace == SystemNamespace:
		return a.mode != conf.ModeOpen && a.mayDocument(verb, key)
	case key.System():
		return false
	case a.mode == conf.ModeOpen || a.rights.can(verb, key):
		return true
	case a.mode == conf.ModeObserve:
		a.wouldDeny(verb, key.Namespace)
		return true
	}
	return false
}

// mayDocument reports whether the principal may do verb on a document. What it may write, and
// how, is decided with the content.
func (a *access) mayDocument(verb Verb, key conf.Key) bool {
	return (verb == VerbList || verb == VerbRead) && a.policy.canDocument(a.principal, false, key, nil).allowed
}

// mayOn reports whether the principal may do verb on the whole of a scope, by the grants.
func (a *access) mayOn(verb Verb, scope Scope) bool {
	return !a.barred && (a.mode == conf.ModeOpen || a.policy.may(a.principal, verb, scope).allowed)
}

// ready returns an error if a document cannot be read on which decisions about a namespace
// rest. In observe mode that keeps nobody from a value.
func (a *access) ready(namespace string) error {
	switch a.mode {
	case "":
		return errNotReady()
	case conf.ModeClosed:
		return a.unready(cmp.Or(a.policy.ready(namespace), a.policy.readyFor(a.principal)))
	}
	return nil
}

// unready returns err, which says that a document cannot be read, as the principal may see
// it. That the document exists is only for those who may read it.
func (a *access) unready(err error) error {
	var e *conf.Error
	if !errors.As(err, &e) || a.mayDocument(VerbRead, e.Key) {
		return err
	}
	return conf.Errorf(conf.ErrUnavailable, "this server cannot decide about it: it cannot read a document, which may need a newer program")
}

// readyFor is ready for what is asked of the keys of a namespace with verb, or of all
// namespaces. A list of all can leave out the namespaces about which nothing can be decided,
// and say so; see undecided. Who watches all would never learn what was left out.
func (a *access) readyFor(verb Verb, namespace string) error {
	switch {
	case namespace != conf.AllNamespaces || a.mode != conf.ModeClosed:
		return a.ready(namespace)
	case verb == VerbList:
		return a.unready(cmp.Or(a.policy.readyAnywhere(), a.policy.readyFor(a.principal)))
	}
	return a.unready(cmp.Or(a.policy.readyEverywhere(), a.policy.readyFor(a.principal)))
}

// undecided reports whether a list of all namespaces leaves this one out because a document
// cannot be read that decisions about it rest on.
func (a *access) undecided(namespace string) bool {
	return a.mode == conf.ModeClosed && a.policy.ready(namespace) != nil
}

// mayIn reports whether the principal may do verb on some keys of a namespace, or of a group
// of it unless group is empty.
func (a *access) mayIn(verb Verb, namespace, group string) bool {
	switch {
	case a.barred:
		return false
	case namespace == SystemNamespace:
		return a.mode != conf.ModeOpen && a.mode != "" && a.known() && a.principal != ""
	case group != "":
		return a.may(verb, conf.Key{Namespace: namespace, Group: group})
	case a.may(verb, conf.Key{Namespace: namespace}):
		return true
	}
	_, prefixes := a.within(verb, namespace)
	return len(prefixes) > 0
}

// within reports whether the principal may do verb on all keys of a namespace, and if it may
// not, with which prefixes the groups begin where it may.
func (a *access) within(verb Verb, namespace string) (whole bool, prefixes []string) {
	if a.mode == conf.ModeOpen || a.mode == conf.ModeObserve || namespace == SystemNamespace {
		return true, nil
	}
	return a.rights.within(verb, namespace)
}

// readsAll reports whether nothing but documents is hidden from the principal.
func (a *access) readsAll() bool {
	return a.mode == conf.ModeOpen || a.mode == conf.ModeObserve || a.rights.everything(VerbRead)
}

// known reports whether the principal is one of this store.
func (a *access) known() bool { return a.principal == "" || a.rights != nil }

// lacks reports whether this server does not know the principal, or one of namespaces.
// Another server may have just made it.
func (a *access) lacks(namespaces []string) bool {
	if a.mode == conf.ModeOpen || a.barred { // whoever is barred stays so, however much this server learns
		return false
	}
	return !a.known() || slices.ContainsFunc(namespaces, func(n string) bool { return !a.registered(n) })
}

// mayBeBehind reports whether a decision may rest on documents from before a position that the
// caller has seen. Of one that is not proven it need not have seen anything.
func (a *access) mayBeBehind(seen conf.Position) bool {
	return !a.barred && a.seal != nil && !seen.IsZero() && a.policy.at.Compare(seen) < 0 && a.seal.proven(seen)
}

// registered reports whether a namespace exists.
func (a *access) registered(namespace string) bool {
	if (conf.Key{Namespace: namespace}).System() {
		return true
	}
	_, ok := a.policy.directory.has[namespace]
	return ok
}

// reason returns why something in a namespace is denied, for [Stats].
func (a *access) reason(namespace string) string {
	if a.barred {
		return conf.DenialFile
	}
	if !a.registered(namespace) && a.mode != conf.ModeOpen {
		return conf.DenialUnregistered
	}
	return conf.DenialRight
}

// wouldDeny records that the principal would be refused in closed mode.
func (a *access) wouldDeny(verb Verb, namespace string) {
	a.would.tally.deny(a.reason(namespace), 1, true)
	namespace = namespace[:min(len(namespace), conf.MaxNamespace)] // a report may name anything; handlers of logs quote it
	if others, ok := a.would.logs(kind{a.principal, verb, namespace}); ok {
		a.would.log.Warn("observe mode: this would be refused", "principal", principalName(a.principal), "verb", verb.String(), "namespace", redact.Tokens(namespace), "unlogged", others)
	}
}

// refuseProof logs that closed mode would refuse a proof from an address. Reason is one of
// [conf.Denials].
func (o *observed) refuseProof(reason string, address netip.Addr, err error) {
	if others, ok := o.logs(kind{principal: address.String(), namespace: reason}); ok {
		o.log.Warn("observe mode: this would be refused", "address", address.String(), "error", err, "unlogged", others)
	}
}

// provenFor returns wait, or the time until a secret of the principal's token or its
// certificate expires if that is sooner: that may be what the principal has proven itself with,
// so it must do that again by then.
func (a *access) provenFor(ctx context.Context, wait time.Duration) time.Duration {
	now := time.Now()
	if until := conf.ProvenUntil(ctx); !until.IsZero() {
		wait = min(wait, max(until.Sub(now), 0))
	}
	if t := a.policy.tokenOf(a.principal); t != nil {
		if first := t.firstExpiry(now); !first.IsZero() {
			return min(wait, first.Sub(now))
		}
	}
	return wait
}

// errNotReady is the error of a server that has not observed the documents yet.
func errNotReady() error {
	return conf.Errorf(conf.ErrUnavailable, "not ready: the documents are not loaded, or the store is not governed yet")
}

// isDenial reports whether err is the Centre's answer to something that is not permitted.
func isDenial(err error) bool { return errors.Is(err, conf.ErrDenied) }
