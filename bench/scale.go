//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// measureScale runs operations that are slow with many keys (-keys), on an embedded store and on a
// database with a copy on disk. During each operation one small key is published and polled every
// few milliseconds; see pulse.
func measureScale(s settings, r *report) (err error) {
	const whole = setKeys // and whole change sets, in each half
	keys := max(s.pick(s.keys, s.keys/10)/whole, 1) * whole
	dir, err := os.MkdirTemp(s.dir, "bench-scale-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store := []string{"-dir", dir + "/store"}
	if err := scaleOn(r, "embedded", keys, store, dir); err != nil {
		return err
	}
	if err := os.RemoveAll(dir + "/store"); err != nil {
		return err
	}

	d, err := newDatabase(s, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.fill(0); err != nil {
		return err
	}
	return scaleOn(r, "MySQL", keys, []string{"-dsn", d.dsn}, dir)
}

// scaleOn runs all steps on one storage, each in a separate process.
func scaleOn(r *report, on string, keys int, storage []string, dir string) error {
	step := func(name string, args []string, cmd command) error {
		child, _, err := spawn("scale", append(args, storage...)...)
		if err != nil {
			return err
		}
		defer child.stop()
		var p phase
		cmd.For = patience * 10
		if err := child.do(cmd, &p); err != nil {
			return fmt.Errorf("%s, %s: %w", on, name, err)
		}
		rss, err := child.rss()
		if err != nil {
			return err
		}
		r.note(on+", "+name, "%s s; until a poll has it: %s; a publish: %s; a read: %s; %s MiB resident",
			number(p.Took.Seconds()), p.Feed, p.Publish, p.Read, number(rss/(1<<20)))
		if p.Bytes > 0 {
			r.note("", "%s bytes a key", number(p.Bytes))
		}
		return nil
	}
	copied := []string{"-copy", dir + "/copy-of-" + on}
	for _, phase := range []struct {
		name string
		args []string
		cmd  command
	}{
		{fmt.Sprintf("%d keys in order", keys/2), nil, command{Verb: "ordered", N: keys}},
		{fmt.Sprintf("%d between them", keys/2), nil, command{Verb: "between", N: keys}},
		{"started", nil, command{Verb: "started"}},
		{"all listed", nil, command{Verb: "list"}},
		{fmt.Sprintf("polls of %d keys, %d each", keys, setKeys), nil, command{Verb: "sets", N: keys}},
		{"a copy installed", copied, command{Verb: "installed"}},
		{"started from the copy", copied, command{Verb: "started"}},
		{"a check", append([]string{"-check", "1s"}, copied...), command{Verb: "check"}},
		{fmt.Sprintf("%d keys deleted", keys/2), copied, command{Verb: "delete", N: keys}},
	} {
		if err := step(phase.name, phase.args, phase.cmd); err != nil {
			return err
		}
	}
	return nil
}

// scaleRole is a process with a server on a store in a folder, or on a database with an optional
// copy in a folder.
func scaleRole(args []string) error {
	begun := time.Now()
	n, err := openScaled(args)
	if err != nil {
		return err
	}
	defer n.close()
	if err := ready(n.srv, patience); err != nil {
		return err
	}
	n.took = time.Since(begun)
	return obey("", map[string]func(command) (any, error){
		"started":   func(command) (any, error) { return n.during(n.nothing) },
		"ordered":   func(c command) (any, error) { return n.during(func() error { return n.importOrdered(c.N) }) },
		"between":   func(c command) (any, error) { return n.during(func() error { return n.importBetween(c.N) }) },
		"sets":      func(c command) (any, error) { return n.during(func() error { return n.pollSets(c.N) }) },
		"list":      func(command) (any, error) { return n.during(n.list) },
		"installed": func(c command) (any, error) { return n.during(func() error { return n.installed(c.For) }) },
		"check":     func(c command) (any, error) { return n.during(func() error { return n.checked(c.For) }) },
		"delete":    func(c command) (any, error) { return n.during(func() error { return n.deleteHalf(c.N) }) },
	})
}
