package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/record"
)

// publish publishes and deletes, with and without conditions, until ctx ends.
func (t *Traffic) publish(ctx context.Context, number int, random *rand.Rand) {
	client, err := diamond.NewClient(t.target.Transport(number))
	if err != nil {
		panic(err) // the transport is nil: a mistake of the harness
	}
	defer client.Close()
	for i := 0; ; i++ {
		pause(ctx, random, t.config.Pause)
		if ctx.Err() != nil {
			return
		}
		o := record.Op{Client: number, ID: fmt.Sprintf("w%x-%d-%d", t.config.Seed, number, i)}
		set := t.set(&o, random)
		o.Call = t.record.Now()
		at, err := t.commit(client, random, set)
		o.Outcome, o.Revision = OutcomeOf(err), at.Revision
		if err != nil {
			o.Error = err.Error()
		} else {
			t.know(&set, at)
		}
		o.Return = t.record.Now()
		t.record.Op(o)
	}
}

// know records that set is committed. Reads that begin from now on must see it.
func (t *Traffic) know(set *diamond.ChangeSet, at diamond.Position) {
	for _, d := range set.Drafts {
		t.known.saw(d.Key, at.Revision, at)
	}
	for _, d := range set.Deletes {
		t.known.saw(d.Key, 0, at)
	}
}

// set generates a change set, and records it in o.
func (t *Traffic) set(o *record.Op, random *rand.Rand) diamond.ChangeSet {
	o.Kind = []record.Kind{record.Put, record.CAS, record.CAS, record.CAS, record.Delete}[random.IntN(5)]
	key, content := Key(random.IntN(t.config.Keys)), t.content(random, o.ID)
	set := diamond.ChangeSet{RequestID: o.ID, Comment: o.ID}
	if o.Kind == record.Delete {
		set.Deletes = []diamond.Delete{{Key: key}}
		o.Keys = []string{key.String()}
		return set
	}
	o.Digest = record.Digest(content)
	draft := diamond.Draft{Key: key, Content: content}
	if o.Kind == record.CAS {
		o.Want = t.known.revision(random, key)
		draft.IfRevision = diamond.Revision(o.Want)
	}
	set.Drafts = append(set.Drafts, draft)
	if o.Kind == record.Put && random.IntN(2) == 0 { // several keys at once
		for i := range t.config.Keys {
			if k := Key(i); k != key && random.IntN(2) == 0 {
				set.Drafts = append(set.Drafts, diamond.Draft{Key: k, Content: content})
			}
		}
	}
	for _, d := range set.Drafts {
		o.Keys = append(o.Keys, d.Key.String())
	}
	return set
}

// commit commits set. If the outcome is unknown, it sometimes sends the set again under its id,
// and otherwise leaves the outcome unknown.
func (t *Traffic) commit(client diamond.Client, random *rand.Rand, set diamond.ChangeSet) (at diamond.Position, err error) {
	for range 3 {
		ctx, cancel := context.Background(), func() {}
		if t.config.Patience > 0 && random.IntN(3) == 0 {
			ctx, cancel = context.WithTimeout(ctx, t.config.Patience)
		}
		again := err != nil
		at, err = client.Commit(ctx, set)
		cancel()
		if again && err != nil {
			// This call did nothing. But the first one may still be running at another server,
			// and succeed.
			err = fmt.Errorf("%w: after a first try of unknown outcome: %w", diamond.ErrUnknownOutcome, err)
		}
		if OutcomeOf(err) != record.Unknown || random.IntN(2) == 0 {
			break
		}
	}
	return at, err
}

// OutcomeOf returns the outcome of a write that failed with an error.
func OutcomeOf(err error) record.Outcome {
	switch {
	case err == nil:
		return record.OK
	case errors.Is(err, diamond.ErrUnknownOutcome):
		return record.Unknown
	case errors.Is(err, diamond.ErrConflict), errors.Is(err, diamond.ErrNotFound):
		return record.Conflict
	}
	return record.Failed
}
