//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// measureMySQLIdle measures the database's work for three nodes whose clients all wait, each for a
// different key, and for three nodes without clients.
func measureMySQLIdle(s settings, r *report) (err error) {
	const nodes = 3
	clients, entries := s.pick(1000, 90), s.pick(10_000, 500)
	length := time.Duration(s.pick(60, 3)) * time.Second
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
	var cluster []*child
	var addrs []string
	for i := range nodes {
		node, addr, err := spawn("node", "-dsn", d.dsn, "-copy", fmt.Sprintf("%s/%d", dir, i))
		if err != nil {
			return err
		}
		defer node.stop()
		if err := node.do(command{Verb: "copied", For: patience}, nil); err != nil {
			return err
		}
		cluster, addrs = append(cluster, node), append(addrs, addr)
	}
	for _, n := range []int{0, clients} {
		followers, _, err := spawn("followers", addrs...)
		if err != nil {
			return err
		}
		defer followers.stop()
		if err := followers.do(command{Verb: "follow", N: n, Entries: entries, For: patience}, nil); err != nil {
			return err
		}
		if err := allWait(cluster, n); err != nil {
			return err
		}
		rate, err := d.questionRate(length)
		if err != nil {
			return err
		}
		if err := allWait(cluster, n); err != nil {
			return err
		}
		r.value(fmt.Sprintf("%d clients, %d keys", n, entries), "statements a second and node", rate/nodes, atMost(3))
	}
	return nil
}

// questionRate returns the number of statements a second over a while.
func (d *database) questionRate(length time.Duration) (float64, error) {
	before, err := d.questions()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	time.Sleep(length)
	after, err := d.questions()
	return float64(after-before-1) / time.Since(begun).Seconds(), err // without the statement that asks
}

// allWait waits until the given number of clients wait at the nodes together.
func allWait(nodes []*child, clients int) error {
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		sum := 0
		for _, n := range nodes {
			var waiting int
			if err := n.do(command{Verb: "waiting"}, &waiting); err != nil {
				return err
			}
			sum += waiting
		}
		if sum == clients {
			return nil
		}
		if time.Since(begun) > patience {
			return fmt.Errorf("%d of %d clients wait", sum, clients)
		}
	}
}

// followersRole is a process of real clients of the servers at addrs.
func followersRole(addrs []string) error {
	var clients []diamond.Client
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	follow := func(n, entries int, limit time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		for i := range n {
			wire, err := httptransport.New(addrs[i%len(addrs)])
			if err != nil {
				return err
			}
			client, err := diamond.NewClient(wire)
			if err != nil {
				return err
			}
			clients = append(clients, client)
			if _, err := client.Get(ctx, keyOf(i%entries)); err != nil {
				return err
			}
		}
		return nil
	}
	return obey("", map[string]func(command) (any, error){
		"follow": func(c command) (any, error) { return nil, follow(c.N, c.Entries, c.For) },
	})
}
