package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/record"
)

// finalPatience limits each call in the end, when nothing fails any more.
const finalPatience = 3 * time.Minute

// subscribe runs a client with a listener for every key, until ctx ends.
func (t *Traffic) subscribe(ctx context.Context, number int, random *rand.Rand) {
	for session := 0; ; session++ {
		lifetime := ctx
		if t.config.Restarts && random.IntN(2) == 0 {
			limited, cancel := context.WithTimeout(ctx, t.config.Pause*time.Duration(20+random.IntN(100)))
			lifetime = limited
			defer cancel()
		}
		t.session(ctx, lifetime, number, session)
		if ctx.Err() != nil {
			return
		}
		pause(ctx, random, t.config.Pause*4)
		if ctx.Err() != nil {
			return // a new session would have no time to catch up
		}
	}
}

// session runs a subscriber until lifetime ends. The last session stays until ctx ends, and its
// final state is recorded.
func (t *Traffic) session(ctx, lifetime context.Context, number, session int) {
	var options []diamond.ClientOption
	if files := t.target.Files(number); files != nil {
		options = append(options, diamond.WithLocalFiles(files))
	}
	client, err := diamond.NewClient(t.target.Transport(number), options...)
	if err != nil {
		panic(err) // the transport is nil: a mistake of the harness
	}
	defer client.Close()
	t.shown.begin(number)
	for i := range t.config.Keys {
		key := Key(i)
		_, err := client.Subscribe(key, diamond.ListenerFunc(func(_ context.Context, config diamond.Config) error {
			told := record.Told{
				Client: number, Session: session, Key: key.String(), At: t.record.Now(),
				Revision: config.Revision, Deleted: config.Deleted,
				Refused: config.Refused != nil, Source: config.Source.String(),
			}
			if !config.Deleted {
				told.Digest = record.Digest(config.Content)
			}
			t.record.Told(told)
			t.shown.told(number, told)
			return nil
		}))
		if err != nil {
			panic(err) // the key is not valid: a mistake of the harness
		}
	}
	<-lifetime.Done()
	select {
	case <-t.quiet:
	default:
		t.shown.begin(number) // the next session is told everything again
		return
	}
	<-ctx.Done()
	<-t.healed
	asking, cancel := context.WithTimeout(context.Background(), finalPatience)
	defer cancel()
	for i := range t.config.Keys {
		key := Key(i)
		t.record.Listener(record.Listener{Client: number, Session: session, Key: key.String()})
		t.record.Held(held(asking, client, number, key))
	}
}

// held asks a client for a key.
func held(ctx context.Context, client diamond.Client, number int, key diamond.Key) record.Held {
	config, err := client.Get(ctx, key)
	h := record.HeldOf(fmt.Sprintf("client %d", number), &config.Entry)
	h.Key = key.String()
	switch {
	case errors.Is(err, diamond.ErrNotFound):
		h.Revision, h.Digest = 0, ""
	case err != nil:
		h.Error = err.Error()
	}
	return h
}
