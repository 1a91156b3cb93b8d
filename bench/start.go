//go:build linux

package main

import (
	"fmt"
	"os"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

// started is the cost of a start.
type started struct {
	took time.Duration // from opening the store until reads are served
	anon float64       // bytes of private memory
	file float64       // bytes of the mapped store file in memory
}

// measureStart starts a server on stores of two sizes and on an empty one.
func measureStart(s settings, r *report) error {
	sizes := []int{0, s.pick(10_000, 1000), s.pick(100_000, 10_000)}
	results := make([]started, len(sizes))
	for i, entries := range sizes {
		dir, err := os.MkdirTemp(s.dir, "bench-start-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := fill(dir, entries); err != nil {
			return err
		}
		if results[i], err = startTimes(dir, s.pick(5, 1)); err != nil {
			return err
		}
		r.note(fmt.Sprintf("ready with %d entries", entries), "%s ms", number(millis(results[i].took)))
	}
	for i, entries := range sizes[1:] {
		got, none := results[i+1], results[0]
		r.note(fmt.Sprintf("memory with %d entries", entries), "%s bytes an entry of its own, and %s of the mapped file",
			number((got.anon-none.anon)/float64(entries)), number((got.file-none.file)/float64(entries)))
	}
	growth := float64(results[2].took) / float64(results[1].took)
	r.note("growth", "%d times the entries: %s times the time to start", sizes[2]/sizes[1], number(growth))
	return nil
}

// startTimes starts a server several times in separate processes, and returns the median time, and
// the memory of the last.
func startTimes(dir string, rounds int) (s started, err error) {
	var times []time.Duration
	for range rounds {
		if s, err = startOnce(dir); err != nil {
			return s, err
		}
		times = append(times, s.took)
	}
	s.took = median(times)
	return s, nil
}

func startOnce(dir string) (s started, err error) {
	c, _, err := spawn("start", dir)
	if err != nil {
		return s, err
	}
	defer c.stop()
	if err := c.do(command{Verb: "took"}, &s.took); err != nil {
		return s, err
	}
	if err := c.do(command{Verb: "collect"}, nil); err != nil {
		return s, err
	}
	if s.anon, err = statusField(c.cmd.Process.Pid, "RssAnon"); err != nil {
		return s, err
	}
	s.file, err = statusField(c.cmd.Process.Pid, "RssFile")
	return s, err
}

// startRole is a process that starts a server on the store in a folder.
func startRole(args []string) error {
	begun := time.Now()
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
	took := time.Since(begun)
	return obey("", map[string]func(command) (any, error){
		"took":    func(command) (any, error) { return took, nil },
		"collect": func(command) (any, error) { return nil, collect() },
	})
}
