package govern

import (
	"context"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
)

// Changes implements diamond.Transport. It gives the changes of keys that the caller may read
// by the policy as of the answer, and goes on waiting while there are no others. When the
// caller's rights change while it waits, or a secret of its token is withdrawn or expires, it
// answers with what there is, so that the caller has to prove itself again. A set of which the
// answer has only some changes is numbered anew, so that nobody learns how many others it had.
func (c *Centre) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	resp, err := c.changes(ctx, req)
	if err != nil {
		return nil, engine.AnswerError(ctx, "changes", conf.Key{}, err)
	}
	return resp, nil
}

func (c *Centre) changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	filter := conf.Filter{Namespace: req.Namespace, Group: req.Group, Prefix: req.Prefix}
	if err := c.mayFilter(ctx, claim{req.After, reachTime}, VerbRead, filter); err != nil {
		return nil, err
	}
	after, err := c.openWatched(ctx, c.judge.sealer(), req.After)
	if err != nil {
		return nil, err
	}
	void := c.access(ctx).void // before it is decided: if the rights change after this, it is closed
	if err := c.mayFilter(ctx, claim{}, VerbRead, filter); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(c.access(ctx).provenFor(ctx, min(max(req.Wait, 0), conf.MaxWait)))
	for {
		ask := *req
		ask.After, ask.Wait = after, max(time.Until(deadline), 0)
		resp, err := c.door.Changes(ctx, &ask, void)
		if err != nil {
			return nil, err
		}
		a := c.access(ctx) // no older than what the server has answered
		ended := isClosed(void)
		if ended {
			c.judge.tally.redecided.Add(1)
			if err := c.mayFilter(ctx, claim{}, VerbRead, filter); err != nil {
				return nil, err
			}
			a = c.access(ctx)
		}
		// A document that came with the changes may not be readable.
		if err := a.readyFor(VerbRead, (conf.Key{Namespace: filter.Namespace}).Canonical().Namespace); err != nil {
			return nil, err
		}
		given := *resp
		given.Changes = readableOf(a, resp.Changes)
		if len(given.Changes) > 0 || given.Draining || ended || !time.Now().Before(deadline) {
			given.Position = c.judge.sealer().seal(resp.Position)
			return &given, nil
		}
		after = resp.Position
	}
}

// mayFilter returns an error if filter is not valid, or is of one namespace of which the
// caller may do verb with nothing.
func (c *Centre) mayFilter(ctx context.Context, by claim, verb Verb, filter conf.Filter) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	namespace := (conf.Key{Namespace: filter.Namespace}).Canonical().Namespace
	system := (conf.Key{Namespace: namespace}).System()
	if err := filter.Validate(); err != nil && !system {
		return err
	}
	if namespace == conf.AllNamespaces {
		return c.access(ctx).readyFor(verb, namespace)
	}
	if system { // its other parts have to be valid too
		rest := filter
		rest.Namespace = ""
		if err := rest.Validate(); err != nil {
			return err
		}
	}
	a, err := c.settled(ctx, by, []string{namespace}, func(a *access) error {
		if err := a.readyFor(verb, namespace); err != nil || a.mayIn(verb, namespace, filter.Group) {
			return err
		}
		return deniedIn(verb, namespace)
	})
	return c.refused(a, err, namespace)
}

// readableOf returns those of changes that the caller may read.
func readableOf(a *access, changes []conf.Change) []conf.Change {
	kept := make([]conf.Change, 0, len(changes))
	for i := range changes {
		if change := &changes[i]; change.Op == conf.OpFork || a.may(VerbRead, change.Key) {
			kept = append(kept, *change)
		}
	}
	if a.readsAll() {
		return kept
	}
	for first := 0; first < len(kept); {
		end := first + 1
		for end < len(kept) && kept[end].Revision == kept[first].Revision {
			end++
		}
		for i := first; i < end; i++ {
			kept[i].Number, kept[i].Count = i-first, end-first
		}
		first = end
	}
	return kept
}
