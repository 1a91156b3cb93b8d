package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// patience is how long everybody has, on the real clock and a machine that may
// be busy, to learn of everything after the last fault.
const patience = 90 * time.Second

// Judge ends the traffic after the last fault has healed, waits until all have
// learned of what there is, and takes down what everybody holds.
func (c *Cluster) Judge(ctx context.Context, load *traffic.Traffic, keys int, store diamond.Storage, recorder *record.Recorder) error {
	load.Quiet()
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	// A commit of unknown outcome may still be on its way.
	var head diamond.Position
	for {
		if err := c.settle(ctx, load, keys, store); err != nil {
			return err
		}
		batch, err := store.Changes(ctx, diamond.Position{}, 1)
		if err != nil {
			return err
		}
		if batch.Head == head || ctx.Err() != nil {
			break
		}
		head = batch.Head
	}
	load.Finish()
	for i := range c.Members {
		over := c.Direct(i)
		for k := range keys {
			recorder.Node(Held(ctx, fmt.Sprintf("node %d", i), over, traffic.Key(k)))
		}
	}
	return recorder.Dump(ctx, store)
}

// settle waits until all servers and subscribers have what the storage has now.
func (c *Cluster) settle(ctx context.Context, load *traffic.Traffic, keys int, store diamond.Storage) error {
	page, err := store.Scan(ctx, diamond.ScanRequest{Limit: diamond.MaxPage, Contents: true})
	if err != nil {
		return err
	}
	var entries []record.Held
	for i := range page.Entries {
		entries = append(entries, record.HeldOf("storage", &page.Entries[i]))
	}
	for i := range c.Members {
		over := c.Direct(i)
		for k := 0; k < keys; {
			_, err := over.Fetch(ctx, &diamond.FetchRequest{Key: traffic.Key(k), After: page.Position})
			switch {
			case err == nil:
				k++
			case ctx.Err() != nil:
				return fmt.Errorf("node %d does not get to revision %d: %w", i, page.Position.Revision, err)
			case !errors.Is(err, diamond.ErrBehind) && !errors.Is(err, diamond.ErrUnavailable):
				return err
			default:
				pause(ctx, 100*time.Millisecond)
			}
		}
	}
	load.Settle(ctx, entries, patience) // who has not settled is found by the validators
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Held asks a server for a key.
func Held(ctx context.Context, who string, over diamond.Transport, key diamond.Key) record.Held {
	resp, err := over.Fetch(ctx, &diamond.FetchRequest{Key: key})
	switch {
	case err != nil:
		return record.Held{Who: who, Key: key.String(), Error: err.Error()}
	case !resp.Found:
		return record.Held{Who: who, Key: key.String()}
	}
	return record.HeldOf(who, &resp.Entry)
}
