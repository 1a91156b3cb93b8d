package rights

import (
	"context"
	"math/rand/v2"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/govern"
)

// overlap is the time for which both secrets of a token are valid while it is rotated. A request
// with the old one that a fault has delayed gets no answer any more after that time.
const overlap = 20 * time.Second

// Grants takes the grants of the subscriber and of guests, and gives them back, until ctx ends.
// In the end all have theirs. All changes are committed by client, which is the
// administrator's.
func (c *Cast) Grants(ctx context.Context, client diamond.Client, random *rand.Rand, mean time.Duration) error {
	for {
		pause(ctx, random, mean)
		who, ending := c.someone(random), ctx.Err() != nil
		c.mu.Lock()
		give := ending || c.granted[who] == ""
		changed := []string{who}
		if ending { // everything that is missing
			changed = nil
			for name, role := range c.granted {
				if role == "" {
					changed = append(changed, name)
				}
			}
		}
		for _, name := range changed {
			c.granted[name] = ""
			if give {
				c.granted[name] = roleOf(name)
			}
		}
		document := c.grants()
		c.mu.Unlock()
		began := c.recorder.Now()
		at, err := c.write(client, document)
		if err != nil {
			return err
		}
		for _, name := range changed {
			c.note(grantOf(name), give, began, at)
		}
		if ending {
			return nil
		}
	}
}

// someone returns one of those whose grants change.
func (c *Cast) someone(random *rand.Rand) string {
	if i := random.IntN(c.guests + 1); i < c.guests {
		return Guest(i)
	}
	return Subscriber
}

func roleOf(token string) string {
	if token == Subscriber {
		return govern.RoleReader
	}
	return govern.RoleReleaser
}

// Secrets rotates the secrets of tokens, and revokes those of guests, until ctx ends.
func (c *Cast) Secrets(ctx context.Context, client diamond.Client, random *rand.Rand, mean time.Duration) error {
	for {
		pause(ctx, random, mean)
		if ctx.Err() != nil {
			return nil
		}
		fresh := govern.NewTokenSecret()
		if i := random.IntN(2 * (c.guests + 1)); i < c.guests { // revoked: the new one counts at once, the old one no more
			name := Guest(i)
			began := c.recorder.Now()
			at, err := c.write(client, tokenOf(name, fresh))
			if err != nil {
				return err
			}
			c.note(secretOf(c.Secret(name)), false, began, at)
			c.note(secretOf(fresh), true, began, at)
			if err := c.use(name, fresh); err != nil {
				return err
			}
			continue
		}
		name := []string{Writer, Subscriber}[random.IntN(2)]
		old := c.Secret(name)
		began := c.recorder.Now()
		at, err := c.write(client, tokenOf(name, old, fresh))
		if err != nil {
			return err
		}
		c.note(secretOf(fresh), true, began, at)
		if err := c.use(name, fresh); err != nil {
			return err
		}
		time.Sleep(overlap)
		began = c.recorder.Now()
		if at, err = c.write(client, tokenOf(name, fresh)); err != nil {
			return err
		}
		c.note(secretOf(old), false, began, at)
	}
}

// write commits a document. It tries until it knows that it has, whatever fails meanwhile: all
// tries have one request id, so it is committed once.
func (c *Cast) write(client diamond.Client, document govern.Document) (at diamond.Position, err error) {
	set, err := setOf(document)
	if err != nil {
		return at, err
	}
	set.RequestID = govern.HashTokenSecret(govern.NewTokenSecret())[:32]
	for range 1000 {
		if at, err = client.Commit(context.Background(), set); err == nil {
			return at, nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return at, err
}

// pause waits for some time around the mean, or until ctx ends.
func pause(ctx context.Context, random *rand.Rand, mean time.Duration) {
	timer := time.NewTimer(time.Duration(random.Int64N(int64(2*mean) + 1)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
