package govern

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
	"github.com/linnaname/gdiamond/internal/lograte"
)

// maxVoids is the number of principals of which the judge keeps a channel that tells of the
// end of their rights. Above it all of them decide anew.
const maxVoids = 100_000

// judge says what principals may do. It observes the documents, and so its policy is never
// older than the position that the server shows. Make one with [newJudge]. It is safe for
// concurrent use.
type judge struct {
	log    *slog.Logger
	deny   *DenyFile // or nil
	now    atomic.Pointer[judged]
	unread lograte.Events // observations with documents that cannot be read
	would  observed
	tally  tally

	required bool  // nothing is permitted before the store is governed
	told     int64 // the generation for which the log has told of suspended tokens

	mu    sync.Mutex
	voids map[string]chan struct{} // by principal; guarded by mu
	held  sync.Map                 // the same voids, to be read without mu
}

// newJudge returns a judge that knows no documents yet. Deny may be nil.
func newJudge(log *slog.Logger, deny *DenyFile) *judge {
	j := &judge{log: log, deny: deny, voids: make(map[string]chan struct{})}
	j.would.log, j.would.tally = log, &j.tally
	j.now.Store(&judged{policy: newPolicy()})
	if deny != nil {
		deny.onChange(j.void)
	}
	return j
}

// observe takes over what the server observes of the documents. The server calls it before
// anybody can see the position.
func (j *judge) observe(seen engine.Observation) {
	before := j.now.Load()
	policy, changed := before.policy.apply(seen.Reset, seen.Changes, seen.Position)
	next := &judged{policy: policy, mode: conf.ModeOpen}
	if policy.get(KindCentre, "marker") != nil { // even if it cannot be read
		next.mode = conf.ModeClosed
		if m := policy.marker(); m != nil && m.Mode == ModeObserve {
			next.mode = conf.ModeObserve
		}
		next.seal = before.seal.of(policy.storeSecret())
	} else if j.required {
		next.mode = ""
	}
	j.now.Store(next) // before the channels are closed: who takes a new one gets this policy
	if next.mode != before.mode || next.seal != before.seal || policy.unreadSince(before.policy) {
		j.voidAll()
	} else {
		j.void(changed)
	}
	j.tellSuspended(next)
	if n := len(policy.unread); n > 0 {
		if _, ok := j.unread.Log(); ok {
			j.log.Error("documents cannot be read, and give no rights", "documents", n, "first", policy.unread[0].String())
		}
	}
}

// of returns what a principal may do now.
func (j *judge) of(principal string) *access {
	// First the channel: if the rights change after this, the channel is closed.
	void := j.voidOf(principal)
	now := j.now.Load()
	if j.deny.Denies(principal) && now.mode != "" {
		return &access{judged: &judged{policy: nobody, seal: now.seal, mode: conf.ModeClosed}, barred: true, would: &j.would, principal: principal, void: void}
	}
	return &access{judged: now, would: &j.would, principal: principal, void: void, rights: now.policy.rights(principal)}
}

// nobody is the policy for those whom the deny file names.
var nobody = newPolicy()

// tellSuspended logs once an epoch how many tokens cannot be used before somebody confirms
// them.
func (j *judge) tellSuspended(now *judged) {
	generation := now.policy.generation()
	if now.mode == conf.ModeOpen || now.mode == "" || generation == j.told {
		return
	}
	j.told = generation
	suspended := 0
	for name := range now.policy.documents[KindToken].all() {
		if t := document[*Token](now.policy.get(KindToken, name)); t != nil && !t.Retired && now.policy.suspended(t) {
			suspended++
		}
	}
	if suspended > 0 {
		j.log.Warn("the store was restored or has lost history: tokens of before are suspended, because some may have been revoked since; "+
			"look through teams and grants, which are those of before, then confirm the tokens with --keep-credentials, or with `gdiamond rights confirm-credentials` "+
			"and a token of `gdiamond rights reset-token`, or renew each with `gdiamond token rotate`",
			"tokens", suspended, "generation", generation)
	}
}

func (j *judge) mode() string { return j.now.Load().mode }

func (j *judge) sealer() *sealer { return j.now.Load().seal }

// voidOf returns the channel that is closed when the rights of a principal change.
func (j *judge) voidOf(principal string) <-chan struct{} {
	if c, ok := j.held.Load(principal); ok {
		return c.(chan struct{})
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.voids[principal]
	if c == nil {
		if len(j.voids) >= maxVoids {
			j.closeAll()
		}
		c = make(chan struct{})
		j.voids[principal] = c
		j.held.Store(principal, c)
	}
	return c
}

// void ends the decisions about some principals.
func (j *judge) void(principals []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, principal := range principals {
		j.close(principalOf(principal))
	}
}

// voidAll ends the decisions about all principals.
func (j *judge) voidAll() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closeAll()
}

// closeAll closes all channels. The caller holds mu.
func (j *judge) closeAll() {
	for principal := range j.voids {
		j.close(principal)
	}
}

// close closes the channel of a principal, if there is one. The caller holds mu.
func (j *judge) close(principal string) {
	if c := j.voids[principal]; c != nil {
		delete(j.voids, principal)
		j.held.Delete(principal)
		close(c)
	}
}

// principalOf returns the name of the principal that grants call subject.
func principalOf(subject string) string {
	if subject == Anonymous {
		return ""
	}
	return subject
}
