package govern

import (
	"context"
	"errors"
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// access returns what the caller of ctx may do now.
func (c *Centre) access(ctx context.Context) *access {
	return c.judge.of(conf.CallerFrom(ctx).Principal.Name)
}

// settled calls decide with what the caller may do. Unless that allows it, settled decides
// again once it has learned what the server may lack, because unknown is not yet no. First it
// waits for the position that the caller has seen, at which a grant may have been made. Then,
// if the caller or one of the namespaces is not known yet, it catches up with the storage
// once; for the anonymous it does that only so often for each address. It returns what the
// caller may do as of the decision.
//
// The wait is at most that of every request which names a position, and there is none for a
// position that no server of the store has given.
func (c *Centre) settled(ctx context.Context, by claim, namespaces []string, decide func(*access) error) (*access, error) {
	a := c.access(ctx)
	err := decide(a)
	if errors.Is(err, conf.ErrDenied) && a.mayBeBehind(by.seen) {
		if err := c.reach(ctx, by.seen, by.wait); err != nil {
			return a, err
		}
		a = c.access(ctx)
		err = decide(a)
	}
	if !errors.Is(err, conf.ErrDenied) || !a.lacks(namespaces) || a.principal == "" && !c.strangers.admit(conf.CallerFrom(ctx).Address) {
		return a, err
	}
	c.catchUp(ctx)
	a = c.access(ctx)
	return a, decide(a)
}

// catchUp brings the policy to the storage's head. If the storage does not answer, the policy
// stays what it is: decisions outlive an outage.
func (c *Centre) catchUp(ctx context.Context) {
	c.judge.tally.caughtUp()
	_ = c.catchUps.wait(ctx)
}

// allowed returns an error unless the caller may do verb on the canonical key.
func (c *Centre) allowed(ctx context.Context, by claim, verb Verb, key conf.Key) (*access, error) {
	if a := c.access(ctx); a.may(verb, key) {
		return a, a.ready(key.Namespace)
	}
	return c.settled(ctx, by, []string{key.Namespace}, func(a *access) error {
		if err := a.ready(key.Namespace); err != nil || a.may(verb, key) {
			return err
		}
		return denied(verb, key)
	})
}

// stillAllowed decides again, after a wait, whether the caller may do verb on key. The
// policy may have moved while the request waited.
func (c *Centre) stillAllowed(ctx context.Context, before *access, verb Verb, key conf.Key) error {
	if !isClosed(before.void) {
		return nil
	}
	a := c.access(ctx)
	if err := a.ready(key.Namespace); err != nil || a.may(verb, key) {
		return err
	}
	return c.refused(a, denied(verb, key), key.Namespace)
}

// refused counts the denial err of something in a namespace and returns err.
func (c *Centre) refused(a *access, err error, namespace string) error {
	if errors.Is(err, conf.ErrDenied) {
		c.judge.tally.deny(a.reason(namespace), 1, false)
	}
	return err
}

// namespacesOf returns the namespaces of keys.
func namespacesOf(keys []conf.Key) (namespaces []string) {
	for i, k := range keys {
		if i == 0 || k.Namespace != keys[i-1].Namespace {
			namespaces = append(namespaces, k.Namespace)
		}
	}
	slices.Sort(namespaces)
	return slices.Compact(namespaces)
}
