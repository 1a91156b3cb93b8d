//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

// measureMySQLNotify publishes at one node, and measures when a waiting client holds the content:
// at that node, at a node that is nudged, and at a node without nudges, whose feed must find the
// change.
func measureMySQLNotify(s settings, r *report) (err error) {
	d, err := newDatabase(s, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.fill(s.pick(10_000, 500)); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "bench-mysql-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var nodes []*field
	for i := range 3 {
		f := &field{protocol: native, clients: 1}
		if f.server, f.addr, err = spawn("node", "-dsn", d.dsn, "-copy", fmt.Sprintf("%s/%d", dir, i)); err != nil {
			return err
		}
		defer f.server.stop()
		if f.load, _, err = spawn("load"); err != nil {
			return err
		}
		defer f.load.stop()
		if err := introduce(f.addr); err != nil {
			return err
		}
		nodes = append(nodes, f)
	}
	publisher, nudged := nodes[0], nodes[1]
	if err := publisher.server.do(command{Verb: "peers", Addr: strings.Join([]string{publisher.addr, nudged.addr}, ",")}, nil); err != nil {
		return err
	}
	time.Sleep(2 * peersAsked) // until the node knows its peers

	p, err := publisher.publish(0)
	if err != nil {
		return err
	}
	var took [3][]float64
	for round := 1; round <= s.pick(300, 10)+1; round++ { // the first warms up
		for _, f := range nodes {
			if f.request, err = native.poll(f.addr, p); err != nil {
				return err
			}
			if err := f.park(); err != nil {
				return err
			}
			// The clients start listening before the change.
			if err := f.load.send(command{Verb: "await", Key: native.marker(round), For: patience}); err != nil {
				return err
			}
		}
		time.Sleep(rand.N(500 * time.Millisecond)) // a random moment in the feeds' interval
		if p, err = publisher.publish(round); err != nil {
			return err
		}
		for i, f := range nodes {
			var a arrivals
			if err := f.load.receive(&a); err != nil {
				return err
			}
			if round > 1 {
				took[i] = append(took[i], float64(a.Last-p.Began)/float64(time.Millisecond))
			}
		}
	}
	const own, byNudge, byFeed = 0, 1, 2
	later := make([]float64, len(took[own]))
	for i := range later {
		later[i] = took[byNudge][i] - took[own][i]
	}
	r.note("at the server that commits", "p50 %s ms, p99 %s ms", number(median(took[own])), number(quantile(took[own], 0.99)))
	r.note("later than that, nudged", "p50 %s ms, p99 %s ms", number(median(later)), number(quantile(later, 0.99)))
	r.value("at another, nudged", "ms p99 (p50 "+number(median(took[byNudge]))+")", quantile(took[byNudge], 0.99), atMost(50))
	r.value("at another, without nudges", "ms p99 (p50 "+number(median(took[byFeed]))+")", quantile(took[byFeed], 0.99), atMost(600))
	return nil
}
