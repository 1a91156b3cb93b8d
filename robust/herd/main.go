// Command herd is many clients in one process, for tests:
//
//	herd CLIENTS KEYS ADDR...
//
// Each is as a program would have it, alone: with connections of its own, and a
// listener at each of the first so many keys. It reads lines, values, and answers
// each once all clients hold that for all keys, with the most memory that it has
// had. It ends with its input.
//
// It is a program of its own because the race detector knows no more than 8,128
// goroutines.
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
		client, err := diamond.NewClient(transport.Balance(transport.Static(args[2:]...), httptransport.Dial))
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

// herd is what each client has been told last of each key.
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

// await waits until all hold content, and says on the way how many do.
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

// peakMemory returns the most memory that this process has had, as the system writes it.
func peakMemory() string {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}
