//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// measureMySQLPublish alternates between two sides. The first publishes over HTTP to random keys
// among 100,000 entries of a node on a database; each publish is acknowledged once the database
// has it on stable storage and the node serves it. The second has as many connections to the same
// database, which only insert the log row of a publish, with autocommit.
func measureMySQLPublish(s settings, r *report) (err error) {
	const publishers = 64
	d, err := newDatabase(s, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	entries := s.pick(100_000, 5000)
	if err := d.fill(entries); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "bench-mysql-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	node, addr, err := spawn("node", "-dsn", d.dsn, "-copy", dir)
	if err != nil {
		return err
	}
	defer node.stop()
	if err := node.do(command{Verb: "copied", For: patience}, nil); err != nil {
		return err
	}
	bare, row, err := spawn("inserter", d.dsn, fmt.Sprint(publishers))
	if err != nil {
		return err
	}
	defer bare.stop()
	r.note("bare row", "%s", row)
	load, _, err := spawn("load")
	if err != nil {
		return err
	}
	defer load.stop()
	if err := load.do(command{Verb: "dial", Addr: addr, N: publishers}, nil); err != nil {
		return err
	}
	request, err := nativePublish(addr)
	if err != nil {
		return err
	}

	rounds, length := s.pick(31, 3), time.Duration(s.pick(1000, 300))*time.Millisecond
	sides := []*side{
		{of: []*child{node, load}, database: d, run: func() (float64, error) {
			var h hammered
			err := load.do(command{Verb: "hammer", Data: request, Entries: entries, For: length}, &h)
			return float64(h.Answers), err
		}},
		{of: []*child{bare}, database: d, run: func() (n float64, err error) {
			err = bare.do(command{Verb: "run", Entries: entries, For: length}, &n)
			return n, err
		}},
	}
	var before, after counts
	if err := node.do(command{Verb: "counts"}, &before); err != nil {
		return err
	}
	for round := -1; round < rounds; round++ { // the first warms up
		for _, side := range sides {
			if err := side.turn(round >= 0, length); err != nil {
				return err
			}
		}
	}
	if err := node.do(command{Verb: "counts"}, &after); err != nil {
		return err
	}
	ours, theirs := sides[0], sides[1]
	r.note("change sets a transaction", "%s", number(float64(after.Sets-before.Sets)/float64(after.Commits-before.Commits)))
	r.note("processor time a change", "%s µs of the node and its clients, %s of the database; bare: %s and %s",
		number(ours.micros(ours.own)), number(ours.micros(ours.db)), number(theirs.micros(theirs.own)), number(theirs.micros(theirs.db)))
	r.ratio(fmt.Sprintf("%d publishing", publishers), "changes/s", ours.rates, theirs.rates, atLeast(0.6))
	return nil
}

// side is one of the two sides that write to a database in turn.
type side struct {
	of       []*child // its processes
	database *database
	run      func() (changes float64, err error)

	rates   []float64 // changes a second, of each turn
	changes float64
	own, db time.Duration // of processor time, its processes' and the database's
}

// turn makes the side write for a while.
func (s *side) turn(counts bool, length time.Duration) error {
	own, db, err := s.used()
	if err != nil {
		return err
	}
	n, err := s.run()
	if err != nil {
		return err
	}
	ownAfter, dbAfter, err := s.used()
	if counts {
		s.rates = append(s.rates, n/length.Seconds())
		s.changes += n
		s.own += ownAfter - own
		s.db += dbAfter - db
	}
	return err
}

func (s *side) used() (own, db time.Duration, err error) {
	for _, c := range s.of {
		cpu, err := c.cpu()
		if err != nil {
			return 0, 0, err
		}
		own += cpu
	}
	db, err = s.database.cpu()
	return own, db, err
}

// micros returns the part of d for one change, in microseconds.
func (s *side) micros(d time.Duration) float64 {
	return float64(d) / float64(time.Microsecond) / s.changes
}

// nativePublish returns the request of our client for publishing entry 0.
func nativePublish(addr string) ([]byte, error) {
	return capture(addr, func(t diamond.Transport) error {
		_, err := t.Commit(context.Background(), &conf.CommitRequest{Client: info(), Set: diamond.ChangeSet{
			Drafts:    []diamond.Draft{{Key: keyOf(0), Content: string(content(0))}},
			RequestID: requestOf(0),
		}})
		return err
	})
}
