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

// settled calls decide with what the caller may do. Unless that allows it, and if the caller
// or one of the namespaces is not known to this server yet, settled catches up with the
// storage once and decides again, because unknown is not yet no. It returns what the caller
// may do as of the decision.
func (c *Centre) settled(ctx context.Context, namespaces []string, decide func(*access) error) (*access, error) {
	a := c.access(ctx)
	err := decide(a)
	if !errors.Is(err, conf.ErrDenied) || !a.lacks(namespaces) {
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
func (c *Centre) allowed(ctx context.Context, verb Verb, key conf.Key) (*access, error) {
	if a := c.access(ctx); a.may(verb, key) {
		return a, a.ready(key.Namespace)
	}
	return c.settled(ctx, []string{key.Namespace}, func(a *access) error {
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
	if a.may(verb, key) {
		return nil
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
