// Command herd is many clients in one process, for tests:
//
//	herd CLIENTS KEYS ADDR...
//
// Each client is like that of a separate program: it has its own connections, and a
// listener for each of the first KEYS keys. herd reads values, one on each line. Once all
// clients hold the value for all keys, it answers with its peak memory. It ends with its
// input.
//
// It is a separate program because the race detector supports only 8,128 goroutines.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/traffic"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "herd:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return errors.New("give the numbers of clients and keys, and the addresses of servers")
	}
	clients, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	keys, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	h := &herd{last: make([]string, clients*keys), counts: make(map[string]int)}
	h.changed = sync.NewCond(&h.mu)
	for c := range clients {
		client, err := diamond.NewClient(transport.NewBalancer(transport.Static(args[2:]...), httptransport.Dialer()))
		if err != nil {
			return err
		}
		for k := range keys {
			if _, err := client.Subscribe(traffic.Key(k), h.listener(c*keys+k)); err != nil {
				return err
			}
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		h.await(lines.Text())
		fmt.Println(lines.Text(), peakMemory())
	}
	return lines.Err()
}

// herd has the last value of each key at each client.
type herd struct {
	mu      sync.Mutex
	changed *sync.Cond     // when counts changes; its lock is mu
	last    []string       // guarded by mu; by client and key
	counts  map[string]int // guarded by mu; of the values of last
}

func (h *herd) listener(number int) diamond.Listener {
	return diamond.ListenerFunc(func(_ context.Context, config diamond.Config) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.counts[h.last[number]]--
		h.last[number] = config.Content
		h.counts[config.Content]++
		h.changed.Broadcast()
		return nil
	})
}

// await waits until all hold content, and reports the progress.
func (h *herd) await(content string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	said := time.Now()
	for h.counts[content] < len(h.last) {
		if time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(os.Stderr, "%d of %d are at %q\n", h.counts[content], len(h.last), content)
		}
		h.changed.Wait()
	}
}

// peakMemory returns the peak memory of this process in the system's format.
func peakMemory() string {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}
