package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// patience is the time for all to catch up after the last fault, on the real clock and a
// machine that may be busy.
const patience = 3 * time.Minute

// Judge ends the traffic after the last fault has healed, waits until all have caught up, and
// records their final states.
func (c *Cluster) Judge(ctx context.Context, load *traffic.Traffic, keys int, store diamond.Storage, recorder *record.Recorder) error {
	load.Quiet()
	settled, err := c.settle(ctx, load, keys, store)
	if err != nil {
		return err
	}
	recorder.Settled(settled.Revision)
	load.Finish()
	for i := range c.Members {
		over := c.Direct(i)
		for k := range keys {
			recorder.Node(Held(ctx, fmt.Sprintf("node %d", i), over, traffic.Key(k)))
		}
	}
	return recorder.Dump(ctx, store)
}

// settle waits until all servers and subscribers have the state of the storage, and returns that
// state. A change of unknown outcome may still arrive, so it reads the state repeatedly. The
// validators find those that have not settled after patience.
func (c *Cluster) settle(ctx context.Context, load *traffic.Traffic, keys int, store diamond.Storage) (diamond.Position, error) {
	began := time.Now()
	for {
		page, err := store.Scan(ctx, conf.ScanRequest{Limit: conf.MaxPage, Contents: true})
		if err != nil {
			return page.Position, err
		}
		if err := c.reach(ctx, keys, page.Position); err != nil {
			return page.Position, err
		}
		var entries []record.Held
		for i := range page.Entries {
			entries = append(entries, record.HeldOf("storage", &page.Entries[i]))
		}
		if load.Settle(ctx, entries, time.Second) || time.Since(began) > patience {
			return page.Position, nil
		}
	}
}

// reach waits until all servers have reached a position.
func (c *Cluster) reach(ctx context.Context, keys int, at diamond.Position) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for i := range c.Members {
		over := c.Direct(i)
		for k := 0; k < keys; {
			_, err := over.Fetch(ctx, &conf.FetchRequest{Key: traffic.Key(k), After: at})
			switch {
			case err == nil:
				k++
			case ctx.Err() != nil:
				return fmt.Errorf("node %d does not get to revision %d: %w", i, at.Revision, err)
			case !errors.Is(err, diamond.ErrBehind) && !errors.Is(err, diamond.ErrUnavailable):
				return err
			default:
				pause(ctx, 100*time.Millisecond)
			}
		}
	}
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
	resp, err := over.Fetch(ctx, &conf.FetchRequest{Key: key})
	switch {
	case err != nil:
		return record.Held{Who: who, Key: key.String(), Error: err.Error()}
	case !resp.Found:
		return record.Held{Who: who, Key: key.String()}
	}
	return record.HeldOf(who, &resp.Entry)
}
