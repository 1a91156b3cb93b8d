//go:build linux

package main

import (
	"fmt"
	"time"
)

// parked is the cost of parked polls for their server.
type parked struct {
	fresh, used float64 // KiB of RSS a poll: freshly parked, and after changes and a collection
	turns       []turn  // the changes
	requests    [][]byte
}

// idleness is the work of a server while its polls wait.
type idleness struct {
	cpu          float64 // percent of a core
	access, feed int64   // calls of the storage
}

// measurePolls parks 10,000 polls of each protocol, and measures their cost for the server while
// nothing happens.
func measurePolls(s settings, r *report) error {
	clients, changes := s.pick(10_000, 1000), s.pick(10, 3)
	duration := time.Duration(s.pick(10, 1)) * time.Second
	for _, p := range protocols {
		ours, idle, err := parkOurs(p, clients, changes, duration)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		bare, err := parkBare(p, clients, ours)
		if err != nil {
			return fmt.Errorf("%s, bare: %w", p.name, err)
		}
		r.value(p.name+", freshly parked", "KiB of RSS a poll (bare "+number(bare.fresh)+")", ours.fresh, atMost(20))
		r.ratio(p.name+", after changes", "KiB of RSS a poll", []float64{ours.used}, []float64{bare.used}, atMost(1.3))
		r.value(p.name+", storage", fmt.Sprintf("calls in %s idle, beside %d of the feed", duration, idle.feed), float64(idle.access), atMost(0))
		r.value(p.name+", processor", "% of a core", idle.cpu, atMost(5))
	}
	return nil
}

// parkOurs measures a fresh server of ours: with parked polls, idle for a while, and after changes
// that answer all of them, each polling again.
func parkOurs(p protocol, clients, changes int, idleFor time.Duration) (c parked, idle idleness, err error) {
	f, err := newField("server", p, clients)
	if err != nil {
		return c, idle, err
	}
	defer f.close()
	before, err := f.server.rss()
	if err != nil {
		return c, idle, err
	}
	c.requests = append(c.requests, f.request)
	if c.fresh, err = f.parkAndWeigh(before); err != nil {
		return c, idle, err
	}
	if idle, err = f.rest(idleFor); err != nil {
		return c, idle, err
	}
	for round := 1; round <= changes; round++ {
		t, err := f.change(round, nil)
		if err != nil {
			return c, idle, err
		}
		c.turns, c.requests = append(c.turns, t), append(c.requests, f.request)
		if err := f.park(); err != nil {
			return c, idle, err
		}
	}
	c.used, err = f.collectAndWeigh(before)
	return c, idle, err
}

// parkBare measures a fresh bare server in the same way, with the same requests and answers.
func parkBare(p protocol, clients int, ours parked) (c parked, err error) {
	f, err := newField("bare", p, clients)
	if err != nil {
		return c, err
	}
	defer f.close()
	before, err := f.server.rss()
	if err != nil {
		return c, err
	}
	f.request = ours.requests[0]
	if c.fresh, err = f.parkAndWeigh(before); err != nil {
		return c, err
	}
	for i := range ours.turns {
		if _, err := f.change(i+1, &ours.turns[i].answer); err != nil {
			return c, err
		}
		f.request = ours.requests[i+1]
		if err := f.park(); err != nil {
			return c, err
		}
	}
	c.used, err = f.collectAndWeigh(before)
	return c, err
}

// settle waits until background work has ended.
const settle = time.Second

// parkAndWeigh parks the clients, and returns the server's additional memory for each, in KiB.
func (f *field) parkAndWeigh(before float64) (float64, error) {
	if err := f.park(); err != nil {
		return 0, err
	}
	time.Sleep(settle)
	return f.weigh(before)
}

func (f *field) collectAndWeigh(before float64) (float64, error) {
	if err := f.server.do(command{Verb: "collect"}, nil); err != nil {
		return 0, err
	}
	time.Sleep(settle)
	return f.weigh(before)
}

func (f *field) weigh(before float64) (float64, error) {
	after, err := f.server.rss()
	return (after - before) / float64(f.clients) / 1024, err
}

// rest measures the server's work while all clients wait.
func (f *field) rest(duration time.Duration) (idleness, error) {
	var c [2]counts
	var cpu [2]time.Duration
	for i := range c {
		if i > 0 {
			time.Sleep(duration)
		}
		var err error
		if cpu[i], err = f.server.cpu(); err != nil {
			return idleness{}, err
		}
		if err = f.server.do(command{Verb: "counts"}, &c[i]); err != nil {
			return idleness{}, err
		}
	}
	if c[1].Waiters != f.clients {
		return idleness{}, fmt.Errorf("%d of %d clients wait on", c[1].Waiters, f.clients)
	}
	return idleness{
		cpu:    100 * (cpu[1] - cpu[0]).Seconds() / duration.Seconds(),
		access: c[1].Access - c[0].Access,
		feed:   c[1].Feed - c[0].Feed,
	}, nil
}
