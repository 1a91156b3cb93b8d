//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	poolSize    = 4   // connections to the database
	poolHanging = 200 // publishes
	poolPolls   = 1000
	poolReaders = 64
	poolEntries = 1000
)

// pool is a node with few connections to its database, and with reading, waiting and publishing
// clients.
type pool struct {
	*field     // its clients wait
	d          *database
	dir        string
	readers    *child
	publishers *child
	fetch      []byte // the request of readers
	post       []byte // the request of publishers
	round      int
}

// hang has the results of a node while publishes hang.
type hang struct {
	reads  hammered
	access int64 // storage calls of reads and polls
	stats  sql.DBStats
}

// measureMySQLPool alternates between reads from an otherwise idle node, and reads while another
// connection holds the lock that publishes need, so that 200 of them hang. Waiting clients are
// parked in both cases.
func measureMySQLPool(s settings, r *report) (err error) {
	p, err := newPool(s, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()

	rounds, length := s.pick(31, 3), time.Duration(s.pick(800, 300))*time.Millisecond
	var p99 [2][]float64
	var rates [2][]float64
	var access int64
	inUse := 0
	for round := -1; round < rounds; round++ { // the first warms up
		free, err := p.read(length)
		if err != nil {
			return err
		}
		h, err := p.readHanging(length)
		if err != nil {
			return err
		}
		if round < 0 {
			continue
		}
		p99[0], p99[1] = append(p99[0], millis(h.reads.P99)), append(p99[1], millis(free.P99))
		rates[0], rates[1] = append(rates[0], float64(h.reads.Answers)/length.Seconds()), append(rates[1], float64(free.Answers)/length.Seconds())
		access += h.access
		inUse = max(inUse, h.stats.InUse)
	}
	r.note("connections", "%d of %d in use", inUse, poolSize)
	r.value("storage", fmt.Sprintf("calls for reads and for %d long polls", rounds*poolPolls), float64(access), atMost(0))
	r.ratio(fmt.Sprintf("reads beside %d publishes", poolHanging), "a second", rates[0], rates[1], atLeast(0.8))
	r.ratio(fmt.Sprintf("p99 beside %d publishes", poolHanging), "ms", p99[0], p99[1], atMost(1.2))
	return nil
}

func newPool(s settings, r *report) (p *pool, err error) {
	p = &pool{field: &field{protocol: native, clients: poolPolls}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.d, err = newDatabase(s, r); err != nil {
		return p, err
	}
	if err = p.d.fill(poolEntries); err != nil {
		return p, err
	}
	if p.dir, err = os.MkdirTemp(s.dir, "bench-mysql-"); err != nil {
		return p, err
	}
	if p.server, p.addr, err = spawn("node", "-dsn", p.d.dsn, "-copy", p.dir, "-conns", fmt.Sprint(poolSize)); err != nil {
		return p, err
	}
	if _, err = p.publish(0); err != nil {
		return p, err
	}
	if err = introduce(p.addr); err != nil {
		return p, err
	}
	if p.fetch, err = nativeFetch(p.addr); err != nil {
		return p, err
	}
	if p.post, err = nativePublish(p.addr); err != nil {
		return p, err
	}
	for load, n := range map[**child]int{&p.load: poolPolls, &p.readers: poolReaders, &p.publishers: poolHanging} {
		if *load, _, err = spawn("load"); err != nil {
			return p, err
		}
		if err = (*load).do(command{Verb: "dial", Addr: p.addr, N: n}, nil); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *pool) close() (err error) {
	for _, c := range []*child{p.load, p.readers, p.publishers, p.server} {
		if c != nil {
			c.stop()
		}
	}
	if p.d != nil {
		err = p.d.close()
	}
	if p.dir != "" {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	return err
}

// read reads for a while, with clients parked.
func (p *pool) read(length time.Duration) (h hammered, err error) {
	if err := p.park(); err != nil {
		return h, err
	}
	if err := p.readers.do(command{Verb: "hammer", Data: p.fetch, For: length}, &h); err != nil {
		return h, err
	}
	return h, p.wake()
}

// wake ends the wait of the clients by a change.
func (p *pool) wake() error {
	p.round++
	_, err := p.change(p.round, nil)
	return err
}

// readHanging is read while publishes hang.
func (p *pool) readHanging(length time.Duration) (h hang, err error) {
	lock, err := p.d.db.BeginTx(context.Background(), nil)
	if err != nil {
		return h, err
	}
	defer lock.Rollback()
	if _, err := lock.Exec("UPDATE diamond_counter SET id = id"); err != nil {
		return h, err
	}
	if err := p.publishers.do(command{Verb: "ask", Data: p.post, Entries: poolEntries}, nil); err != nil {
		return h, err
	}
	before, err := p.hanging()
	if err != nil {
		return h, err
	}
	if err := p.park(); err != nil {
		return h, err
	}
	if err := p.readers.do(command{Verb: "hammer", Data: p.fetch, For: length}, &h.reads); err != nil {
		return h, err
	}
	after, err := p.hanging()
	if err != nil {
		return h, err
	}
	h.access = after.Access - before.Access
	if err := p.server.do(command{Verb: "pool"}, &h.stats); err != nil {
		return h, err
	}
	if err := lock.Rollback(); err != nil {
		return h, err
	}
	if err := p.publishers.do(command{Verb: "await", For: patience}, nil); err != nil {
		return h, err
	}
	return h, p.wake()
}

// hanging waits until all publishes hang.
func (p *pool) hanging() (c counts, err error) {
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		if err := p.server.do(command{Verb: "counts"}, &c); err != nil {
			return c, err
		}
		if c.Inflight == poolHanging && c.Committing {
			return c, nil
		}
		if time.Since(begun) > patience {
			return c, fmt.Errorf("%d of %d publishes hang", c.Inflight, poolHanging)
		}
	}
}
