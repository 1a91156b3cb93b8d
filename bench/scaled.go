//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/mysqlstore"
)

// scaled is a server with many keys, and the steps that run on it.
type scaled struct {
	srv     diamond.Server
	storage *timedStorage
	took    time.Duration // until the server served reads, or of the last step
	bytes   float64       // of memory a key that a step took, if measured
	closers []func() error
}

func openScaled(args []string) (n *scaled, err error) {
	f := flag.NewFlagSet("scale", flag.ContinueOnError)
	dir := f.String("dir", "", "the folder of an embedded store")
	dsn := f.String("dsn", "", "the database")
	copied := f.String("copy", "", "the folder of a copy")
	check := f.Duration("check", 24*time.Hour, "how often the server checks itself")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	n = new(scaled)
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	var storage diamond.Storage
	if *dir != "" {
		storage, err = boltstore.Open(*dir, boltstore.WithLogger(logger))
	} else {
		storage, err = n.openDatabase(*dsn, logger)
	}
	if err != nil {
		return n, err
	}
	n.closers = append(n.closers, storage.Close)
	opts := []diamond.ServerOption{diamond.WithLogger(logger), diamond.WithSelfCheck(*check)}
	if *copied != "" {
		local, err := boltstore.Open(*copied, boltstore.WithLogger(logger))
		if err != nil {
			return n, err
		}
		n.closers = append(n.closers, local.Close)
		opts = append(opts, diamond.WithReplica(local))
	}
	n.storage = &timedStorage{Storage: storage, committed: make(chan time.Time, 1)}
	if n.srv, err = diamond.NewServer(n.storage, opts...); err == nil {
		n.closers = append(n.closers, n.srv.Close)
	}
	return n, err
}

func (n *scaled) openDatabase(dsn string, logger *slog.Logger) (diamond.Storage, error) {
	db, err := mysqlstore.OpenDB(dsn, logger)
	if err != nil {
		return nil, err
	}
	n.closers = append(n.closers, db.Close)
	return mysqlstore.New(context.Background(), db, mysqlstore.WithLogger(logger))
}

// close closes everything in reverse order.
func (n *scaled) close() error {
	var all []error
	for i := range n.closers {
		all = append(all, n.closers[len(n.closers)-1-i]())
	}
	return errors.Join(all...)
}

// nothing keeps the time of the start.
func (n *scaled) nothing() error { return nil }

// timed records the time of a step.
func (n *scaled) timed(step func() error) error {
	begun := time.Now()
	err := step()
	n.took = time.Since(begun)
	return err
}

// importOrdered publishes every second entry, in order.
func (n *scaled) importOrdered(keys int) error {
	return n.inSets(keys/2, func(set *diamond.ChangeSet, i int) { publishOf(set, 2*i) })
}

// importBetween publishes the other entries, spread over the keys.
func (n *scaled) importBetween(keys int) error {
	return n.inSets(keys/2, func(set *diamond.ChangeSet, i int) { publishOf(set, 2*scattered(i, keys/2)+1) })
}

func publishOf(set *diamond.ChangeSet, i int) {
	set.Drafts = append(set.Drafts, diamond.Draft{Key: keyOf(i), Content: marker(i) + values()[i%1000]})
}

// values has some prepared contents, because generating each would take part of the time.
var values = sync.OnceValue(func() []string {
	some := make([]string, 1000)
	for i := range some {
		some[i] = string(content(i)[len(marker(i)):])
	}
	return some
})

// deleteHalf deletes every second entry, spread over the keys.
func (n *scaled) deleteHalf(keys int) error {
	return n.inSets(keys/2, func(set *diamond.ChangeSet, i int) {
		set.Deletes = append(set.Deletes, diamond.Delete{Key: keyOf(2 * scattered(i, keys/2))})
	})
}

// scattered returns a different number below n for each i, so that those of a change set are spread
// over all numbers.
func scattered(i, n int) int {
	sets := max(n/conf.MaxChanges, 1)
	return i%conf.MaxChanges*sets + i/conf.MaxChanges
}

// inSets commits the given number of changes in sets of a thousand, one after the other.
func (n *scaled) inSets(changes int, add func(set *diamond.ChangeSet, i int)) error {
	return n.timed(func() error {
		for first := 0; first < changes; first += conf.MaxChanges {
			var set diamond.ChangeSet
			for i := first; i < min(first+conf.MaxChanges, changes); i++ {
				add(&set, i)
			}
			if _, err := n.srv.Commit(context.Background(), &conf.CommitRequest{Set: set}); err != nil {
				return err
			}
		}
		return nil
	})
}

// list lists all entries.
func (n *scaled) list() error {
	return n.timed(func() error {
		req := diamond.ListRequest{Limit: conf.MaxPage}
		for more := true; more; {
			page, err := n.srv.List(context.Background(), &req)
			if err != nil {
				return err
			}
			if more = page.More; more {
				req.After = page.Entries[len(page.Entries)-1].Key
			}
		}
		return nil
	})
}

// installed waits until the copy is complete.
func (n *scaled) installed(limit time.Duration) error {
	return n.timed(func() error {
		return n.until(limit, func(st *diamond.ServerStatus) bool { return st.Replica.Installs > 0 })
	})
}

// checked waits for one check, counted from its first read of the storage.
func (n *scaled) checked(limit time.Duration) error {
	n.storage.scanned.Store(nil)
	err := n.until(limit, func(st *diamond.ServerStatus) bool { return st.Counters.Checks > 0 })
	if err == nil {
		n.took = time.Since(*n.storage.scanned.Load())
	}
	return err
}

func (n *scaled) until(limit time.Duration, done func(*diamond.ServerStatus) bool) error {
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		st := n.srv.Status()
		if st.CheckErr != nil {
			return st.CheckErr
		}
		if done(&st) {
			return nil
		}
		if time.Since(begun) > limit {
			return errors.New("it takes too long")
		}
	}
}
