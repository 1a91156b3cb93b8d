package traffic

import (
	"context"
	"math/rand/v2"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/robust/record"
)

// read makes reads that ask for everything seen before, until ctx ends.
func (t *Traffic) read(ctx context.Context, number int, random *rand.Rand) {
	over := t.target.Transport(number)
	for {
		pause(ctx, random, t.config.Pause)
		if ctx.Err() != nil {
			return
		}
		key := Key(random.IntN(t.config.Keys))
		o := record.Op{Client: number, Kind: record.Get, Keys: []string{key.String()}, Call: t.record.Now()}
		resp, err := over.Fetch(ctx, &conf.FetchRequest{Key: key, After: t.known.position()})
		o.Outcome = record.Failed
		if err != nil {
			o.Error = err.Error()
		} else {
			o.Outcome, o.Position = record.OK, resp.Position.Revision
			if resp.Found {
				o.Revision, o.Digest = resp.Entry.Revision, record.Digest(resp.Entry.Content)
			}
			t.known.saw(key, o.Revision, resp.Position)
		}
		o.Return = t.record.Now()
		t.record.Op(o)
	}
}

// watch follows the changes of some keys, from its last position, an earlier one or the start.
// From time to time it stops and begins again.
func (t *Traffic) watch(ctx context.Context, number int, random *rand.Rand) {
	client, err := diamond.NewClient(t.target.Transport(number))
	if err != nil {
		panic(err) // the transport is nil: a mistake of the harness
	}
	defer client.Close()
	var last diamond.Position
	for ctx.Err() == nil {
		after := last
		if random.IntN(2) == 0 {
			after = t.known.some(random)
		}
		last = t.watchOnce(ctx, client, number, random, after)
	}
	// In the end, watch everything from the start, because nothing fails any more.
	<-t.healed
	whole, cancel := context.WithTimeout(context.Background(), finalPatience)
	defer cancel()
	t.watchUntil(whole, client, number, "", diamond.Position{}, t.known.position())
}

// watchOnce runs one watch for a while, and returns its last position.
func (t *Traffic) watchOnce(ctx context.Context, client diamond.Client, number int, random *rand.Rand, after diamond.Position) diamond.Position {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	prefix := []string{"", "key-", Key(0).DataID, Key(1).DataID}[random.IntN(4)]
	timer := t.config.Pause * 40
	go func() {
		pause(ctx, random, timer)
		cancel()
	}()
	return t.watchUntil(ctx, client, number, prefix, after, diamond.Position{})
}

// watchUntil watches until ctx ends or the position until, unless it is zero, is reached.
func (t *Traffic) watchUntil(ctx context.Context, client diamond.Client, number int, prefix string, after, until diamond.Position) diamond.Position {
	w := record.Watch{Client: number, Prefix: prefix, After: after.Revision, Until: after.Revision}
	batch := 0
	for resp, err := range client.Watch(ctx, diamond.ChangesRequest{After: after, Namespace: diamond.AllNamespaces, Prefix: prefix, Contents: true}) {
		if err != nil {
			if ctx.Err() == nil {
				w.Ended = err.Error()
			}
			break
		}
		for i := range resp.Changes {
			c := &resp.Changes[i]
			seen := record.Seen{
				Batch: batch, At: t.record.Now(), Revision: c.Revision, Number: c.Number, Count: c.Count,
				Key: c.Key.String(), Deleted: c.Op == diamond.OpDelete,
			}
			if c.Op == diamond.OpPublish {
				seen.Digest = record.Digest(c.Content)
			}
			w.Events = append(w.Events, seen)
		}
		batch++
		after, w.Until = resp.Position, resp.Position.Revision
		if !until.IsZero() && after.Compare(until) >= 0 {
			break
		}
	}
	if !until.IsZero() && after.Compare(until) < 0 && w.Ended == "" {
		w.Ended = "it did not reach the last change"
	}
	t.record.Watch(w)
	return after
}
