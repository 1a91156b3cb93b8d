package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
)

// park sends a long poll of the original protocol for a key that holds content,
// and returns its status when it is answered.
func (d *daemon) park(client *http.Client, dataID, content string) (int, error) {
	body := url.Values{"Probe-Modify-Request": {dataID + ",DEFAULT_GROUP," + conf.MD5Hex(content)}}.Encode()
	req, err := http.NewRequest(http.MethodPost, d.server+"/diamond-server/getProbeModify", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	req.Header.Set("Long-Polling-TimeOut", "60000")
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// metric returns the value of a metric without labels.
func (d *daemon) metric(name string) string {
	_, body := httpDo(d.t, http.MethodGet, d.server+"/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// On SIGTERM every parked poll is answered at once, no read fails, and the
// program ends long before the polls would have: within two seconds, if the
// machine has nothing else to do.
func TestL1_Defect_O3_GracefulShutdownUnderLoad(t *testing.T) {
	polls := campaign.Scale(t, 200, 2000)
	d := standalone(t, t.TempDir())
	d.must("publish", "linna", writeFile(t, "x"))

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: polls}}
	defer client.CloseIdleConnections()
	var answered atomic.Int64
	var wg sync.WaitGroup
	for range polls {
		wg.Go(func() {
			status, err := d.park(client, "linna", "x")
			if assert.NoError(t, err, "a parked poll was cut") {
				assert.Equal(t, http.StatusNotModified, status)
				answered.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return d.metric("diamond_longpoll_waiters") == fmt.Sprint(polls) },
		60*time.Second, 10*time.Millisecond)

	var reads atomic.Int64
	for range 16 {
		wg.Go(func() {
			transport := &http.Transport{MaxIdleConnsPerHost: 1}
			defer transport.CloseIdleConnections()
			for {
				res, err := (&http.Client{Transport: transport}).Get(d.server + "/diamond-server/config?dataId=linna&group=DEFAULT_GROUP")
				if gone(err) {
					return
				}
				if !assert.NoError(t, err, "a read was cut") {
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				assert.NoError(t, err)
				assert.Equal(t, http.StatusOK, res.StatusCode)
				assert.Equal(t, "x", string(body))
				reads.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return reads.Load() > 200 }, 60*time.Second, time.Millisecond)

	code, took := d.terminate()
	wg.Wait()
	assert.Equal(t, exitOK, code, d.stderr)
	assert.Less(t, took, 30*time.Second)
	assert.EqualValues(t, polls, answered.Load())
	t.Logf("%d polls answered and %d reads served; ended after %s", answered.Load(), reads.Load(), took)
}

// gone reports whether a connection was refused: nobody listens any more. The
// kernel resets those that it had not handed over when the listener closed.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// A second signal does not wait for a drain.
func TestL1_SecondSignalExitsNow(t *testing.T) {
	d := standalone(t, t.TempDir(), "--shutdown-delay", "10m")
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		res, err := http.Get(d.server + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusServiceUnavailable
	}, 60*time.Second, 5*time.Millisecond, "not ready from the first moment on")
	status, _ := httpDo(t, http.MethodGet, d.server+"/livez")
	assert.Equal(t, http.StatusOK, status, "alive, and serving")
	code, _ := d.terminate()
	assert.Equal(t, 128+int(syscall.SIGTERM), code)
}

// Two signals, the second of which comes while the first is being taken in. They
// differ, as the kernel keeps one only of each kind.
func TestL1_SecondSignalRightBehindTheFirst(t *testing.T) {
	d := standalone(t, t.TempDir(), "--shutdown-delay", "10m")
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGINT))
	code, _ := d.terminate()
	assert.Contains(t, []int{128 + int(syscall.SIGINT), 128 + int(syscall.SIGTERM)}, code)
}

// ledger is what publishers know of what they published.
type ledger struct {
	mu     sync.Mutex
	round  int
	acked  map[string]string // guarded by mu: acknowledged values
	unsure map[string]string // guarded by mu: later values that were not, and may be there
}

func newLedger() *ledger { return &ledger{acked: map[string]string{}, unsure: map[string]string{}} }

// publish publishes keys from several publishers until the server is gone, and
// calls enough, once, when that many were acknowledged.
func (l *ledger) publish(d *daemon, publishers, many int, enough func()) {
	l.round++
	var count atomic.Int64
	var once sync.Once
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			for i := 0; ; i++ {
				key, content := fmt.Sprintf("p%d-%d", p, i%50), fmt.Sprintf("%d/%d/%d", l.round, p, i)
				l.set(l.unsure, key, content)
				res, err := client.PostForm(d.server+"/diamond-server/publishConfig",
					url.Values{"dataId": {key}, "group": {"DEFAULT_GROUP"}, "content": {content}})
				if err != nil {
					return
				}
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					return
				}
				l.set(l.acked, key, content)
				if count.Add(1) >= int64(many) {
					once.Do(enough)
				}
			}
		})
	}
	wg.Wait()
}

func (l *ledger) set(m map[string]string, key, content string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m[key] = content
}

// verify checks that the server has each acknowledged value, or one that was
// sent after it.
func (l *ledger) verify(d *daemon) {
	d.t.Helper()
	for key, want := range l.acked {
		status, got := httpDo(d.t, http.MethodGet, d.server+"/diamond-server/config?dataId="+key+"&group=DEFAULT_GROUP")
		require.Equal(d.t, http.StatusOK, status, key)
		if got != want {
			assert.Equal(d.t, l.unsure[key], got, key)
			l.acked[key] = got
		}
	}
}

// A publish that meets a SIGTERM is acknowledged and there, or an error.
func TestL8_SigtermDuringPublishes(t *testing.T) {
	data := t.TempDir()
	d := standalone(t, data)
	l := newLedger()
	l.publish(d, 16, 300, func() { assert.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM)) })
	<-d.exited
	assert.Equal(t, exitOK, d.cmd.ProcessState.ExitCode(), d.stderr)

	out := invoke(t, "check", data)
	assert.Equal(t, exitOK, out.code, out.stderr)
	l.verify(standalone(t, data))
}

// A publish that was acknowledged survives the end of the process by SIGKILL.
func TestS21_KilledWhilePublishing(t *testing.T) {
	data := t.TempDir()
	l := newLedger()
	for range campaign.Scale(t, 3, 200) {
		d := standalone(t, data)
		l.verify(d)
		l.publish(d, 8, 200, func() { assert.NoError(t, d.cmd.Process.Kill()) })
		<-d.exited
		out := invoke(t, "check", data)
		require.Equal(t, exitOK, out.code, out.stderr)
	}
	l.verify(standalone(t, data))
}

// What was published is there after a restart, and so are its versions.
func TestLifecycle_Restart(t *testing.T) {
	data := t.TempDir()
	d := standalone(t, data)
	d.must("publish", "a/b", writeFile(t, "one"))
	d.must("publish", "a/b", writeFile(t, "two"))
	code, _ := d.terminate()
	require.Equal(t, exitOK, code)
	d = standalone(t, data)
	assert.Equal(t, "two", d.must("get", "a/b"))
	assert.Equal(t, "one", d.must("get", "a/b", "--revision", "1"))
}
