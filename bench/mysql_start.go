//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// measureMySQLStart starts a node on a database of 100,000 entries, without and with an up-to-date
// copy on its disk. For comparison it starts a server on an embedded store with the same entries.
func measureMySQLStart(s settings, r *report) (err error) {
	entries := s.pick(100_000, 5000)
	d, err := newDatabase(s, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.fill(entries); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "bench-mysql-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	embedded := dir + "/embedded"
	if err := fill(embedded, entries); err != nil {
		return err
	}

	var nothing, whole, copied, alone []float64
	for round := range s.pick(7, 1) {
		folder := fmt.Sprintf("%s/%d", dir, round)
		first, ready, err := startNode(d.dsn, folder)
		if err != nil {
			return err
		}
		nothing, whole = append(nothing, millis(first)), append(whole, millis(ready))
		first, _, err = startNode(d.dsn, folder)
		if err != nil {
			return err
		}
		copied = append(copied, millis(first))
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
		own, err := startOnce(embedded)
		if err != nil {
			return err
		}
		alone = append(alone, millis(own.took))
	}
	name := fmt.Sprintf("%d entries, ", entries)
	r.note(name+"from nothing", "ready after %s, the copy whole after %s", spread(nothing), spread(whole))
	r.note(name+"from a copy", "ready after %s", spread(copied))
	r.note(name+"embedded", "ready after %s", spread(alone))
	return nil
}

// startNode starts a node once, and returns the times until it served reads and until its copy was
// complete.
func startNode(dsn, folder string) (ready, whole time.Duration, err error) {
	node, _, err := spawn("node", "-dsn", dsn, "-copy", folder)
	if err != nil {
		return 0, 0, err
	}
	defer node.stop()
	if err := node.do(command{Verb: "copied", For: patience}, &whole); err != nil {
		return 0, 0, err
	}
	err = node.do(command{Verb: "took"}, &ready)
	return ready, whole, err
}

// spread formats the median and the quartiles of times in milliseconds.
func spread(ms []float64) string {
	return fmt.Sprintf("%s ms (%s to %s)", number(median(ms)), number(quantile(ms, 0.25)), number(quantile(ms, 0.75)))
}
