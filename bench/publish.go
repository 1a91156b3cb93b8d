//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

// storeFile is boltstore's file in its folder.
const storeFile = "store.db"

// measurePublish alternates between publishes to random keys among 100,000 entries, each
// acknowledged once it is on stable storage, and a bbolt loop that writes the same rows to a copy
// of the file.
func measurePublish(s settings, r *report) error {
	dir, err := os.MkdirTemp(s.dir, "bench-publish-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	entries := s.pick(100_000, 5000)
	if err := fill(dir, entries); err != nil {
		return err
	}
	copied := filepath.Join(dir, "bare.db")
	if err := copyFile(filepath.Join(dir, storeFile), copied); err != nil {
		return err
	}

	ours, _, err := spawn("publisher", dir)
	if err != nil {
		return err
	}
	defer ours.stop()
	bare, rows, err := spawn("bolt", copied)
	if err != nil {
		return err
	}
	defer bare.stop()
	r.note("rows a change", "%s", rows)

	rounds, length := s.pick(41, 3), time.Duration(s.pick(500, 300))*time.Millisecond
	for _, m := range []struct {
		publishers int
		least      float64
	}{{64, 0.7}, {1, 0.8}} {
		var rates [2][]float64
		for round := -1; round < rounds; round++ { // the first warms up
			for i, c := range []*child{ours, bare} {
				var changes int
				if err := c.do(command{Verb: "run", N: m.publishers, For: length, Entries: entries}, &changes); err != nil {
					return err
				}
				if round >= 0 {
					rates[i] = append(rates[i], float64(changes)/length.Seconds())
				}
			}
		}
		r.ratio(fmt.Sprintf("%d publishing", m.publishers), "changes/s", rates[0], rates[1], atLeast(m.least))
	}
	return nil
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}

// publisherRole is a process that publishes to a server on the store in a folder.
func publisherRole(args []string) error {
	store, err := boltstore.Open(args[0])
	if err != nil {
		return err
	}
	defer store.Close()
	srv, err := diamond.NewServer(store)
	if err != nil {
		return err
	}
	defer srv.Close()
	if err := ready(srv, time.Minute); err != nil {
		return err
	}
	var requests atomic.Int64
	return obey("", map[string]func(command) (any, error){
		"run": func(c command) (any, error) { return publishFor(srv, c.N, c.Entries, c.For, &requests) },
	})
}

// publishFor runs the given number of publishers for a while, and returns the number of changes.
// Each publisher waits for the acknowledgement of one change before the next.
func publishFor(srv diamond.Server, publishers, entries int, length time.Duration, requests *atomic.Int64) (int64, error) {
	values := make([]string, 100)
	for i := range values {
		values[i] = string(content(i))
	}
	var done atomic.Int64
	failures := make(chan error, publishers)
	var all sync.WaitGroup
	for begun, i := time.Now(), 0; i < publishers; i++ {
		all.Go(func() {
			for time.Since(begun) < length {
				_, err := srv.Commit(context.Background(), &conf.CommitRequest{Set: diamond.ChangeSet{
					Drafts:    []diamond.Draft{{Key: keyOf(rand.IntN(entries)), Content: values[rand.IntN(len(values))]}},
					RequestID: requestOf(int(1e9 + requests.Add(1))),
				}})
				if err != nil {
					failures <- err
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	close(failures)
	return done.Load(), <-failures // nil when there was none
}
