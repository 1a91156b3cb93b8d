package diamond

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/linnaname/gdiamond/internal/backoff"
)

const (
	// A check has a storage work for it a tenth of the time, as far as these let it:
	// between two pages it pauses for nine times as long as the page took.
	checkRest     = 9
	minCheckPause = 50 * time.Millisecond
	maxCheckPause = 2 * time.Second
	// checkBytes is how many bytes of content one check reads of the storage, and
	// of the copy on disk; the next one goes on from there.
	checkBytes = 16 << 20
	// maxSuspects is how many keys one check looks at closely. The next one looks
	// at the rest.
	maxSuspects = 1000
)

// checkStorage is what a check reads: the storage, or the replica. It cannot write.
type checkStorage interface {
	readStorage
	History(ctx context.Context, key Key, before int64, limit int) ([]Change, error)
}

// checker compares what a server holds with its storage. One goroutine uses it.
type checker struct {
	srv      *server
	records  []*record        // of the check under way, in key order
	suspects map[Key]struct{} // to be looked at closely, perhaps by the next check
	known    map[Key]int64    // differences in the storage that were told of, with their revision

	// Where the checks of contents go on.
	stored, copied Key
}

// checkAlways checks again and again until ctx ends.
func (s *server) checkAlways(ctx context.Context) {
	c := &checker{srv: s, suspects: make(map[Key]struct{}), known: make(map[Key]int64)}
	for backoff.Sleep(ctx, backoff.Jitter(s.cfg.checkInterval, 0.1)) == nil {
		if s.state.Load() == nil || s.stale() > 0 {
			continue // there is nothing to compare, or with
		}
		if err := c.check(ctx); ctx.Err() == nil {
			s.checkEnded(err)
		}
	}
}

// checkEnded notes whether a check was completed, and if not why.
func (s *server) checkEnded(err error) {
	if err == nil {
		s.checkErr.Store(nil)
		return
	}
	level := slog.LevelWarn
	if errors.Is(err, ErrCorrupt) {
		level = slog.LevelError
	}
	s.log.Log(context.Background(), level, "the check of the server against its storage was not completed", "err", err)
	s.counters.checkFailures.Add(1)
	s.checkErr.Store(&err)
}

func (c *checker) check(ctx context.Context) error {
	st := c.srv.state.Load()
	if st == nil {
		return nil
	}
	for place := range st.index.order.Snapshot().All() {
		if r := place.Load(); !r.deleted {
			c.records = append(c.records, r)
		}
	}
	defer func() { c.records = nil }()
	if err := c.compareRecords(ctx, c.srv.storage, c.suspect); err != nil {
		return err
	}
	if err := c.compareContents(ctx); err != nil {
		return err
	}
	settled := c.settleSuspects(ctx)
	if settled != nil && !errors.Is(settled, ErrCorrupt) {
		return settled
	}
	if c.srv.replica != nil {
		if err := c.checkReplica(ctx); err != nil {
			return errors.Join(settled, err)
		}
	}
	if settled != nil {
		return settled
	}
	c.srv.counters.checks.Add(1)
	return nil
}

func (c *checker) suspect(key Key) { c.suspects[key] = struct{}{} }

// settleSuspects looks closely at keys that seem to differ, those first that
// were not told of yet. One whose history is damaged does not keep it from the others.
func (c *checker) settleSuspects(ctx context.Context) error {
	defer func() { c.srv.divergent.Store(int64(len(c.known))) }()
	var look []Key
	for key := range c.suspects {
		if _, told := c.known[key]; !told {
			look = append(look, key)
		}
	}
	unknown := len(look)
	look = slices.AppendSeq(look, maps.Keys(c.known))
	var damaged error
	for _, key := range look[:min(len(look), maxSuspects)] {
		switch err := c.settle(ctx, key); {
		case err == nil:
			delete(c.suspects, key)
		case errors.Is(err, ErrCorrupt):
			damaged = err
		default:
			return err
		}
		if err := backoff.Sleep(ctx, settlePause); err != nil {
			return err
		}
	}
	if damaged != nil {
		return damaged
	}
	if unknown > maxSuspects {
		return Errorf(ErrCorrupt, "%d keys seem to differ, and %d of them were looked at; the next check goes on with the rest", unknown, maxSuspects)
	}
	return nil
}

// report tells of a difference, once.
func (c *checker) report(where string, key Key, revision int64, what string) {
	c.srv.counters.divergences.Add(1)
	c.srv.log.Error("the self-check found a difference: "+what, "where", where, "key", key.String(), "revision", revision)
}
