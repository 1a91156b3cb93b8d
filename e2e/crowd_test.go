package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

const (
	// crowdEnv has the address of the server that a process of tests is to poll.
	crowdEnv = "E2E_CROWD_OF"
	// crowdRounds is how many changes a crowd polls for.
	crowdRounds = 5
)

// Every poller of the key is told of a publish, with the content, each time,
// and none of another key is.
func TestDefect_L1_EveryPollerIsTold(t *testing.T) {
	pollers := campaign.Scale(t, 500, 10_000)
	if addr := os.Getenv(crowdEnv); addr != "" {
		pollAsACrowd(t, addr, pollers)
		return
	}
	srv, addr := listen(t)
	at, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: setOf("hot", "0")})
	require.NoError(t, err)
	const others = 50
	over := crowded(t, addr, others)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var disturbed atomic.Int64
	var all sync.WaitGroup
	for i := range others {
		all.Go(func() {
			req := pollFor(at.Position, fmt.Sprint("cold-", i))
			req.Wait = conf.MaxWait
			for { // again where the wait is over
				resp, err := over.Poll(ctx, req)
				if errors.Is(err, context.Canceled) {
					return
				}
				if err != nil || len(resp.Changed) > 0 {
					disturbed.Add(1)
					return
				}
			}
		})
	}
	c := startCrowd(t, addr)
	for round := range crowdRounds {
		require.Eventually(t, func() bool { return srv.Status().Waiters == pollers+others }, 2*time.Minute, time.Millisecond)
		begun := time.Now()
		_, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: setOf("hot", fmt.Sprint(round+1))})
		require.NoError(t, err)
		c.await(t, told(round+1))
		t.Logf("%d told in %s", pollers, time.Since(begun).Round(time.Millisecond))
	}
	c.end(t)
	assert.Zero(t, disturbed.Load())
	assert.EqualValues(t, crowdRounds*pollers, srv.Status().Counters.Wakeups)
	stop()
	all.Wait()
}

// crowded returns a transport that keeps so many connections to addr.
func crowded(t *testing.T, addr string, connections int) *httptransport.Transport {
	network := &http.Transport{MaxIdleConnsPerHost: connections}
	t.Cleanup(network.CloseIdleConnections)
	over, err := httptransport.New(addr, httptransport.WithHTTPClient(&http.Client{Transport: network}), patient)
	require.NoError(t, err)
	return over
}

// pollAsACrowd polls for one key so many times at once, and says each time that
// all have been told.
func pollAsACrowd(t *testing.T, addr string, pollers int) {
	over := crowded(t, addr, pollers)
	now, err := over.Fetch(t.Context(), &conf.FetchRequest{Key: key("hot")})
	require.NoError(t, err)
	var counts [crowdRounds + 1]atomic.Int64
	var all sync.WaitGroup
	for range pollers {
		all.Go(func() {
			position := now.Position
			for round := 1; round <= crowdRounds; round++ {
				req := pollFor(position, "hot")
				req.Wait = conf.MaxWait
				resp, err := over.Poll(t.Context(), req)
				if !assert.NoError(t, err) || !assert.Len(t, resp.Changed, 1) || !assert.NotNil(t, resp.Changed[0].Entry) {
					return
				}
				assert.Equal(t, fmt.Sprint(round), resp.Changed[0].Entry.Content)
				position = resp.Position
				if counts[round].Add(1) == int64(pollers) {
					fmt.Println(told(round))
				}
			}
		})
	}
	all.Wait()
}

// told is what a crowd says once all of it has been told so many times.
func told(times int) string { return fmt.Sprintf("all have been told %d times", times) }

// crowd is a process of pollers. It is one of its own because each connection
// takes a file at both ends, and a process may not have as many as 20,000.
type crowd struct {
	cmd  *exec.Cmd
	says chan string // closed when it has ended
}

// startCrowd runs the test that calls it in another process, to poll addr.
func startCrowd(t *testing.T, addr string) *crowd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=20m")
	cmd.Env = append(os.Environ(), crowdEnv+"="+addr)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &crowd{cmd: cmd, says: make(chan string, 100)}
	go func() {
		defer close(c.says)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(t.Output(), "crowd:", lines.Text())
			c.says <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range c.says {
		}
		_ = cmd.Wait()
	})
	return c
}

// await waits until the crowd says line.
func (c *crowd) await(t *testing.T, line string) {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case said, ok := <-c.says:
			require.True(t, ok, "the crowd has ended")
			if said == line {
				return
			}
		case <-timeout:
			require.Fail(t, "the crowd does not say", line)
		}
	}
}

// end waits until the crowd has ended in good order.
func (c *crowd) end(t *testing.T) {
	t.Helper()
	for range c.says {
	}
	require.NoError(t, c.cmd.Wait())
}
