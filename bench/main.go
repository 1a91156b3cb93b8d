//go:build linux

// Command bench measures the library's performance. Each figure is a ratio to a baseline that
// runs in the same minutes on the same machine.
//
//	go run ./bench                      # all, some minutes
//	go run ./bench -run read,polls      # some
//	go run ./bench -run scale -keys 1000000
//	go run ./bench -quick               # a smoke run: few rounds, small numbers
//	go run ./bench -gate                # exit status 1 when a goal is missed
//
// Servers, bare servers and load clients are separate processes, for which the program runs
// itself with -role. They exchange JSON lines over stdin and stdout. docs/performance.md explains
// the figures.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// settings are the flags for measurements.
type settings struct {
	quick bool
	keys  int
	dir   string
}

// pick returns full, or small in a quick run.
func (s settings) pick(full, small int) int {
	if s.quick {
		return small
	}
	return full
}

// measurements has the measurements in the order in which they run.
var measurements = []struct {
	name string
	run  func(settings, *report) error
}{
	{"read", measureRead},
	{"polls", measurePolls},
	{"fanout", measureFanout},
	{"publish", measurePublish},
	{"get", measureGet},
	{"start", measureStart},
	{"scale", measureScale},
	{"rights", measureRights},
	{"mysql-publish", measureMySQLPublish},
	{"mysql-notify", measureMySQLNotify},
	{"mysql-pool", measureMySQLPool},
	{"mysql-idle", measureMySQLIdle},
	{"mysql-start", measureMySQLStart},
}

// roles are the roles of child processes.
var roles = map[string]func(args []string) error{
	"server":    serverRole,
	"governed":  governedRole,
	"bare":      bareRole,
	"load":      loadRole,
	"start":     startRole,
	"publisher": publisherRole,
	"bolt":      boltRole,
	"node":      nodeRole,
	"inserter":  inserterRole,
	"followers": followersRole,
	"scale":     scaleRole,
}

func main() {
	var names []string
	for _, m := range measurements {
		names = append(names, m.name)
	}
	var s settings
	run := flag.String("run", strings.Join(names, ","), "measurements to run, separated by commas")
	gate := flag.Bool("gate", false, "exit with status 1 when a goal is missed")
	role := flag.String("role", "", "what this process is: for the program's own use")
	flag.BoolVar(&s.quick, "quick", false, "a smoke run of some seconds: the figures mean little")
	flag.IntVar(&s.keys, "keys", 100_000, "keys of the measurement scale")
	flag.StringVar(&s.dir, "dir", os.TempDir(), "where stores are made; a disk, not a RAM disk, or fsync costs nothing")
	flag.Parse()

	if *role != "" {
		if err := roles[*role](flag.Args()); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", *role, err)
			os.Exit(2)
		}
		return
	}

	chosen := strings.Split(*run, ",")
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			fmt.Fprintf(os.Stderr, "bench: no measurement %q; there are %s\n", name, strings.Join(names, ", "))
			os.Exit(2)
		}
	}
	fmt.Println(machine(s.dir))
	fmt.Println(strings.Join(os.Args[1:], " "))
	var r report
	for _, m := range measurements {
		if !slices.Contains(chosen, m.name) {
			continue
		}
		fmt.Printf("\n%s\n", m.name)
		if err := m.run(s, &r); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", m.name, err)
			os.Exit(2)
		}
		runtime.GC() // so that the next measurement does not pay for this one's garbage
	}
	if missed := r.missed(); len(missed) > 0 {
		fmt.Printf("\nmissed: %s\n", strings.Join(missed, "; "))
		if *gate {
			os.Exit(1)
		}
	}
}
