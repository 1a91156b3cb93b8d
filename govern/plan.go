package govern

import (
	"context"
	"errors"

	"github.com/linnaname/gdiamond/conf"
)

// maxChecks is the maximum number of conditions of a set with those of the Centre. The
// server takes no more.
const maxChecks = 2 * conf.MaxChanges

// plan is a set as it is committed.
type plan struct {
	access *access
	set    *conf.ChangeSet
	ours   map[conf.Key]bool // keys on which the Centre has set a condition, and the caller has not
	// disputed says that the caller names another revision of a document than that by which
	// was decided. If the caller's holds, the decision is void; so it must not be made then.
	disputed bool
}

// plan decides about a set, and returns it as it is to be committed. If that is disputed there
// is an error beside it.
func (c *Centre) plan(ctx context.Context, set *conf.ChangeSet) (*plan, error) {
	var v *verdict
	judge := func(a *access) (err error) {
		v, err = a.judgeSet(set, c.door.Usage)
		return err
	}
	a, err := c.settled(ctx, claim{}, namespacesOf(keysOf(set)), judge)
	if err != nil && v != nil && v.doubtful { // what a document names may be new
		c.catchUp(ctx)
		a = c.access(ctx)
		err = judge(a)
	}
	if err == nil {
		err = c.guard(v)
	}
	if err != nil {
		c.countRefusal(a, set, err)
		return nil, err
	}
	decided := *v.set
	if a.mode != conf.ModeOpen { // an epoch that begins suspends tokens, and changes no document
		decided.Generation = a.policy.generation()
	}
	p := &plan{access: a, set: &decided, ours: make(map[conf.Key]bool)}
	return p, p.condition(&v.conditions)
}

// guard returns an error if a guard of a namespace refuses the set, unless the caller forces
// it and may. In observe mode the refusal is counted and the set let through.
func (c *Centre) guard(v *verdict) error {
	a := v.access
	if a.mode == conf.ModeOpen {
		return nil
	}
	var failed error
	has := func(key conf.Key) (size int64, found bool) {
		size, found, err := c.door.Size(key)
		failed = errors.Join(failed, err)
		return size, found
	}
	checks, _, err := a.policy.guard(a.principal, v.set, v.set.Force, c.door.Usage, has)
	switch {
	case failed != nil:
		return conf.Errorf(conf.ErrUnavailable, "the keys of the set cannot be looked up: %v", failed)
	case err != nil && a.mode == conf.ModeObserve:
		c.judge.tally.deny(err.(*guardError).reason, 1, true)
		return nil
	case err != nil:
		return err
	}
	v.rest(checks...)
	return nil
}

// countRefusal counts that a set was refused with err.
func (c *Centre) countRefusal(a *access, set *conf.ChangeSet, err error) {
	var guarded *guardError
	reason := conf.DenialDocument
	switch {
	case errors.As(err, &guarded):
		reason = guarded.reason
	case isDenial(err):
		reason = conf.DenialRight
		for _, key := range keysOf(set) {
			if r := a.reason(key.Namespace); r != conf.DenialRight {
				reason = r
			}
		}
	}
	c.judge.tally.deny(reason, 1, false)
}

// added reports whether err is that of a condition that the Centre has set.
func (p *plan) added(err error) bool {
	var e *conf.Error
	return errors.Is(err, conf.ErrEpoch) || errors.Is(err, conf.ErrConflict) && errors.As(err, &e) && p.ours[e.Key]
}

// condition makes the set of p conditional on what allowed it. A key has one condition, and
// the caller may have set it; then it must be of the same revision.
func (p *plan) condition(by *conditions) error {
	set := *p.set
	set.Drafts = append(make([]conf.Draft, 0, len(set.Drafts)+len(by.touched)), set.Drafts...)
	set.Deletes = append([]conf.Delete(nil), set.Deletes...)
	theirs := make(map[conf.Key]*int64)   // conditions of the caller
	written := make(map[conf.Key]**int64) // keys that the set writes, and where their conditions are
	for i := range set.Drafts {
		written[set.Drafts[i].Key] = &set.Drafts[i].IfRevision
	}
	for i := range set.Deletes {
		written[set.Deletes[i].Key] = &set.Deletes[i].IfRevision
	}
	for key, condition := range written {
		theirs[key] = *condition
	}
	for i := range set.Checks {
		theirs[set.Checks[i].Key] = &set.Checks[i].Revision
	}
	kept := set.Checks
	for _, d := range by.touched {
		if _, ok := written[d.Key]; ok {
			continue
		}
		kept = without(kept, d.Key) // the draft has the condition
		set.Drafts = append(set.Drafts, d)
		if err := p.agree(theirs[d.Key], conf.Check{Key: d.Key, Revision: *d.IfRevision}); err != nil {
			return err
		}
		written[d.Key] = &set.Drafts[len(set.Drafts)-1].IfRevision
	}
	// Before those of the caller: who lost a right learns nothing of conditions that do not hold.
	var added []conf.Check
	for _, check := range by.checks {
		condition, isWritten := written[check.Key]
		switch {
		case p.ours[check.Key]:
		case theirs[check.Key] != nil:
			if err := p.agree(theirs[check.Key], check); err != nil {
				return err
			}
		case !isWritten:
			added = append(added, check)
			p.ours[check.Key] = true
		case check.Revision == 0 && deleteOf(&set, check.Key) != nil: // a deletion of nothing fails by itself
		default:
			*condition = conf.Revision(check.Revision)
			p.ours[check.Key] = true
		}
	}
	set.Checks = append(added, kept...)
	if n := len(set.Checks); n > maxChecks {
		return conf.Errorf(conf.ErrTooLarge, "checks: %d with those of the rights that permit the set, more than %d; commit it in parts", n, maxChecks)
	}
	p.set = &set
	return nil
}

// agree records a condition of the Centre on a key on which the caller may have set one,
// theirs. If that is another one it returns the conflict.
func (p *plan) agree(theirs *int64, ours conf.Check) error {
	switch {
	case theirs == nil:
		p.ours[ours.Key] = true
	case *theirs != ours.Revision:
		p.disputed = true
		return &conf.Error{Key: ours.Key, Err: conf.ErrConflict, Current: ours.Revision,
			Detail: "the revision is another one than that of the condition"}
	}
	return nil
}

// without returns checks without that on key. It does not change checks.
func without(checks []conf.Check, key conf.Key) (rest []conf.Check) {
	for _, check := range checks {
		if check.Key != key {
			rest = append(rest, check)
		}
	}
	return rest
}
