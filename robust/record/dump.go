package record

import (
	"context"
	"encoding/hex"
	"fmt"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// dumpBytes is the size of one read of the log.
const dumpBytes = 4 << 20

// Dump reads the whole storage without a server: the log, the current view, and each change by
// its revision. If a delayed change arrives in between, it reads again.
func (r *Recorder) Dump(ctx context.Context, store diamond.Storage) error {
	for {
		log, at, broken, err := dumpLog(ctx, store)
		if err != nil {
			return fmt.Errorf("dump the log: %w", err)
		}
		entries, more, err := dumpEntries(ctx, store)
		if err != nil {
			return fmt.Errorf("dump the entries: %w", err)
		}
		batch, err := store.Changes(ctx, at, 1)
		if err != nil {
			return fmt.Errorf("dump the log: %w", err)
		}
		if batch.Head == at {
			r.add(func(h *History) {
				h.Log, h.Entries, h.Broken = log, entries, append(broken, more...)
			})
			return nil
		}
	}
}

func dumpLog(ctx context.Context, store diamond.Storage) (log []Change, at diamond.Position, broken []string, err error) {
	for {
		batch, err := store.Changes(ctx, at, dumpBytes)
		if err != nil {
			return nil, at, nil, err
		}
		from := at
		if from.IsZero() { // the store and the epoch that history began in are not told apart from it
			from.Store, from.Epoch = batch.Position.Store, batch.Position.Epoch
			for i := range batch.Changes {
				if batch.Changes[i].Op == diamond.OpFork {
					from.Epoch = conf.Epoch{}
				}
			}
		}
		if to, err := from.Follow(batch.Changes); err != nil {
			broken = append(broken, "the log: "+err.Error())
		} else if to.Chain != batch.Position.Chain {
			broken = append(broken, fmt.Sprintf("the log up to revision %d does not have its chain", batch.Position.Revision))
		}
		for i := range batch.Changes {
			c := &batch.Changes[i]
			log = append(log, changeOf(c))
			if c.Op != diamond.OpPublish {
				continue
			}
			e, err := store.Read(ctx, c.Key, c.Revision)
			if err != nil || Digest(e.Content) != hex.EncodeToString(c.SHA256[:]) {
				broken = append(broken, fmt.Sprintf("revision %d of %v is in the log and cannot be read: %v", c.Revision, c.Key, err))
			}
		}
		if at = batch.Position; at == batch.Head || len(batch.Changes) == 0 {
			return log, at, broken, nil
		}
	}
}

func changeOf(c *diamond.Change) Change {
	out := Change{
		Revision: c.Revision, Number: c.Number, Count: c.Count,
		Op: c.Op.String(), ID: c.Comment,
	}
	if c.Op != diamond.OpFork {
		out.Key, out.DataID = c.Key.String(), c.Key.DataID
	}
	if c.Op == diamond.OpPublish {
		out.Digest = hex.EncodeToString(c.SHA256[:])
	}
	return out
}

func dumpEntries(ctx context.Context, store diamond.Storage) (entries []Held, broken []string, err error) {
	req := conf.ScanRequest{Limit: conf.MaxPage, Contents: true}
	for {
		page, err := store.Scan(ctx, req)
		if err != nil {
			return nil, nil, err
		}
		for i := range page.Entries {
			e := &page.Entries[i]
			entries = append(entries, HeldOf("storage", e))
			history, err := store.History(ctx, e.Key, 0, 1)
			if err != nil {
				return nil, nil, err
			}
			if len(history) == 0 || history[0].Revision != e.Revision || history[0].Op != diamond.OpPublish {
				broken = append(broken, fmt.Sprintf("revision %d of %v is current and not the newest of its history", e.Revision, e.Key))
			}
			req.After = e.Key
		}
		if !page.More {
			return entries, broken, nil
		}
	}
}

// HeldOf returns e as held by who.
func HeldOf(who string, e *diamond.Entry) Held {
	return Held{Who: who, Key: e.Key.String(), Revision: e.Revision, Digest: Digest(e.Content)}
}
