//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// measureMySQLPublish publishes over HTTP to random keys among 100,000 entries
// of a node on a database, each acknowledged when the database has it on stable
// storage and the node serves it, in turn with as many connections straight to
// the same database that each insert the row of the log that a publish writes,
// and nothing else, with autocommit.
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
	var rates [2][]float64
	var before, after counts
	for round := -1; round < rounds; round++ { // the first warms up
		if round == 0 {
			if err := node.do(command{Verb: "counts"}, &before); err != nil {
				return err
			}
		}
		var ours hammered
		if err := load.do(command{Verb: "hammer", Data: request, Entries: entries, For: length}, &ours); err != nil {
			return err
		}
		var theirs int
		if err := bare.do(command{Verb: "run", Entries: entries, For: length}, &theirs); err != nil {
			return err
		}
		if round >= 0 {
			rates[0] = append(rates[0], float64(ours.Answers)/length.Seconds())
			rates[1] = append(rates[1], float64(theirs)/length.Seconds())
		}
	}
	if err := node.do(command{Verb: "counts"}, &after); err != nil {
		return err
	}
	r.note("change sets a transaction", "%s", number(float64(after.Sets-before.Sets)/float64(after.Commits-before.Commits)))
	r.ratio(fmt.Sprintf("%d publishing", publishers), "changes/s", rates[0], rates[1], atLeast(0.6))
	return nil
}

// nativePublish is what our own client sends to publish entry 0.
func nativePublish(addr string) ([]byte, error) {
	return capture(addr, func(t diamond.Transport) error {
		_, err := t.Commit(context.Background(), &diamond.CommitRequest{Client: info(), Set: diamond.ChangeSet{
			Drafts:    []diamond.Draft{{Key: keyOf(0), Content: string(content(0))}},
			RequestID: requestOf(0),
		}})
		return err
	})
}
