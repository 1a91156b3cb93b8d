package diamond

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

// publisher commits the change sets of a client.
type publisher struct {
	calls   *calls
	catchUp func(ctx context.Context, keys []Key) error // see [fetcher.catchUpKeys]
}

// Publish implements [Client].
func (p *publisher) Publish(ctx context.Context, draft Draft) (Position, error) {
	position, err := p.commit(ctx, ChangeSet{Drafts: []Draft{draft}})
	return position, opError("publish", draft.Key, err)
}

// Delete implements [Client].
func (p *publisher) Delete(ctx context.Context, del Delete) (Position, error) {
	position, err := p.commit(ctx, ChangeSet{Deletes: []Delete{del}})
	return position, opError("delete", del.Key, err)
}

// Commit implements [Client]. It repeats the commit while the outcome is unknown or
// no server can accept the set, until ctx ends or for 10 s.
func (p *publisher) Commit(ctx context.Context, set ChangeSet) (Position, error) {
	position, err := p.commit(ctx, set)
	return position, opError("commit", Key{}, err)
}

func (p *publisher) commit(ctx context.Context, set ChangeSet) (Position, error) {
	ctx, end, err := p.calls.begin(ctx, callTimeout)
	if err != nil {
		return Position{}, err
	}
	defer end()
	if set.RequestID == "" {
		set.RequestID = rand.Text()
	}
	req := &CommitRequest{Client: p.calls.info, Set: set}
	pause := backoff.Backoff{Cap: maxPause}
	unsure := false // an attempt may have been committed
	for {
		resp, err := p.calls.transport.Commit(ctx, req)
		if err == nil {
			if err := p.calls.observe(resp.Position); err != nil {
				return Position{}, err
			}
			p.readOwn(ctx, &set)
			return resp.Position, nil
		}
		err = ofServer(err)
		ended := ctx.Err() != nil
		unsure = unsure || ended || errors.Is(err, ErrUnknownOutcome)
		if !ended && !errors.Is(err, ErrUnknownOutcome) && !passing(err) {
			if unsure && !set.Settles(err) {
				err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err) // an earlier attempt may have been committed, or may yet be
			}
			return Position{}, err
		}
		if !ended && pause.Wait(ctx, retryAfterOf(err)) == nil {
			continue
		}
		return Position{}, commitEnded(ctx, err, unsure)
	}
}

// commitEnded returns the error of a commit whose time is over.
func commitEnded(ctx context.Context, last error, unsure bool) error {
	why := last
	if cause := callError(ctx, "", Key{}, nil); errors.Is(cause, ctx.Err()) || errors.Is(cause, ErrClosed) {
		why = cause // the caller has ended it
		if !errors.Is(last, ctx.Err()) {
			why = tooLate(last, cause)
		}
	}
	if unsure && !errors.Is(why, ErrUnknownOutcome) {
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, why)
	}
	return why
}

// readOwn brings the followed keys of a committed set up to date, so that a Get
// after a Publish shows its effect. The next poll would do that too, but later.
func (p *publisher) readOwn(ctx context.Context, set *ChangeSet) {
	var keys []Key
	for i := range set.Drafts {
		keys = append(keys, set.Drafts[i].Key)
	}
	for i := range set.Deletes {
		keys = append(keys, set.Deletes[i].Key)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = p.catchUp(ctx, keys)
}
