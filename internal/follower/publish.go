package follower

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
)

// publisher commits the change sets of a client.
type publisher struct {
	calls   *calls
	catchUp func(ctx context.Context, keys []conf.Key) error // see [fetcher.catchUpKeys]
}

// Publish implements diamond.Client.
func (p *publisher) Publish(ctx context.Context, draft conf.Draft) (conf.Position, error) {
	position, err := p.commit(ctx, conf.ChangeSet{Drafts: []conf.Draft{draft}})
	return position, conf.WithOp("publish", draft.Key, err)
}

// Delete implements diamond.Client.
func (p *publisher) Delete(ctx context.Context, del conf.Delete) (conf.Position, error) {
	position, err := p.commit(ctx, conf.ChangeSet{Deletes: []conf.Delete{del}})
	return position, conf.WithOp("delete", del.Key, err)
}

// Commit implements diamond.Client. It repeats the commit while the outcome is unknown or
// no server can accept the set, until ctx ends or for Timeouts.Call.
func (p *publisher) Commit(ctx context.Context, set conf.ChangeSet) (conf.Position, error) {
	position, err := p.commit(ctx, set)
	return position, conf.WithOp("commit", conf.Key{}, err)
}

func (p *publisher) commit(ctx context.Context, set conf.ChangeSet) (conf.Position, error) {
	ctx, end, err := p.calls.begin(ctx, p.calls.timeouts.Call)
	if err != nil {
		return conf.Position{}, err
	}
	defer end()
	if set.RequestID == "" {
		set.RequestID = rand.Text()
	}
	pause := backoff.Backoff{Cap: maxPause}
	unsure := false // an attempt may have been committed
	for {
		resp, err := p.calls.transport.Commit(ctx, &conf.CommitRequest{Client: p.calls.info, Set: set, Seen: p.calls.newestSeen()})
		if err == nil {
			if err := p.calls.observe(resp.Position); err != nil {
				return conf.Position{}, err
			}
			p.readOwn(ctx, &set)
			return resp.Position, nil
		}
		err = ofServer(err)
		ended := ctx.Err() != nil
		unsure = unsure || ended || errors.Is(err, conf.ErrUnknownOutcome)
		if !ended && !errors.Is(err, conf.ErrUnknownOutcome) && !passing(err) {
			if unsure && !set.Settles(err) {
				err = fmt.Errorf("%w: %w", conf.ErrUnknownOutcome, err) // an earlier attempt may have been committed, or may yet be
			}
			return conf.Position{}, err
		}
		if !ended && pause.Wait(ctx, retryAfterOf(err)) == nil {
			continue
		}
		return conf.Position{}, commitEnded(ctx, err, unsure)
	}
}

// commitEnded returns the error of a commit whose time is over.
func commitEnded(ctx context.Context, last error, unsure bool) error {
	why := last
	if cause := callError(ctx, "", conf.Key{}, nil); errors.Is(cause, ctx.Err()) || errors.Is(cause, conf.ErrClosed) {
		why = cause // the caller has ended it
		if !errors.Is(last, ctx.Err()) {
			why = tooLate(last, cause)
		}
	}
	if unsure && !errors.Is(why, conf.ErrUnknownOutcome) {
		return fmt.Errorf("%w: %w", conf.ErrUnknownOutcome, why)
	}
	return why
}

// readOwn brings the followed keys of a committed set up to date, so that a Get
// after a Publish shows its effect. The next poll would do that too, but later.
func (p *publisher) readOwn(ctx context.Context, set *conf.ChangeSet) {
	var keys []conf.Key
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
