package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTrouble_DataInUse(t *testing.T) {
	data := t.TempDir()
	standalone(t, data)
	for _, args := range [][]string{
		{"server", "--listen", "127.0.0.1:0", "--data", data},
		{"compact", data},
	} {
		out := invoke(t, args...)
		assert.Equal(t, exitError, out.code)
		assert.Contains(t, out.stderr, "in use")
		assert.Contains(t, out.stderr, data)
		assert.Equal(t, 1, strings.Count(out.stderr, "\n"), out.stderr)
	}
}

// A damaged store is not served and not touched; the message says what to do.
func TestL6_DamagedStore(t *testing.T) {
	for _, damage := range []struct {
		name string
		do   func([]byte) []byte
	}{
		{"truncated", func(b []byte) []byte { return b[:20<<10] }},
		{"zeroed head", func(b []byte) []byte { clear(b[:16<<10]); return b }},
		{"empty", func([]byte) []byte { return []byte{} }},
		{"not a store", func([]byte) []byte { return []byte("hello") }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			data := t.TempDir()
			d := standalone(t, data)
			for i := range 20 {
				d.must("publish", fmt.Sprintf("k%d", i), writeFile(t, strings.Repeat("x", 4000)))
			}
			d.kill()
			name := filepath.Join(data, "store.db")
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			damaged := damage.do(content)
			require.NoError(t, os.WriteFile(name, damaged, 0o600))

			out := invoke(t, "server", "--listen", "127.0.0.1:0", "--data", data)
			assert.Equal(t, exitError, out.code, out.stderr)
			assert.Contains(t, out.stderr, "corrupt")
			assert.Contains(t, out.stderr, "gdiamond check")
			assert.Contains(t, out.stderr, "restore")
			assert.Equal(t, exitError, invoke(t, "check", data).code)
			after, err := os.ReadFile(name)
			require.NoError(t, err)
			assert.Equal(t, damaged, after, "it is left as it is")
		})
	}
}

// A bit of an old version flips, at which no start looks. The store is served
// and written, but no backup of it is taken for a good one.
func TestL6_DamagedOldRecord(t *testing.T) {
	const old = "the content of an old version"
	for name, at := range map[string]int{"content": 3, "record": -2} { // from where the content begins
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			d := standalone(t, data)
			d.must("publish", "linna", writeFile(t, old))
			d.must("publish", "linna", writeFile(t, "new"))
			code, _ := d.terminate()
			require.Equal(t, exitOK, code)
			flip(t, filepath.Join(data, "store.db"), old, at)

			d = standalone(t, data)
			assert.Equal(t, "new", d.must("get", "linna"))
			d.must("publish", "linna", writeFile(t, "newer"))
			hot, cold := filepath.Join(t.TempDir(), "hot"), filepath.Join(t.TempDir(), "cold")
			out := invoke(t, "backup", data, hot)
			assert.Equal(t, exitError, out.code, out.stdout)
			assert.Contains(t, out.stderr, "corrupt")
			assert.Contains(t, out.stderr, "gdiamond check "+data)
			assert.Equal(t, 1, strings.Count(out.stderr, "\n"), out.stderr)
			assert.NoFileExists(t, hot)
			out = invoke(t, "backup", data, "-")
			assert.Equal(t, exitOK, out.code, "what is no file is not verified")
			out = invokeWith(t, out.stdout, nil, "restore", "-", filepath.Join(t.TempDir(), "x"))
			assert.Equal(t, exitError, out.code, "but a restore of it is")

			code, _ = d.terminate()
			require.Equal(t, exitOK, code)
			out = invoke(t, "backup", data, cold)
			assert.Equal(t, exitError, out.code, out.stdout)
			assert.Contains(t, out.stderr, "corrupt")
			assert.NoFileExists(t, cold)
		})
	}
}

// flip changes a bit at an offset from each place of a file that has text.
func flip(t *testing.T, name, text string, offset int) {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Contains(t, string(content), text)
	for at := range len(content) - len(text) {
		if bytes.HasPrefix(content[at:], []byte(text)) {
			content[at+offset] ^= 4
		}
	}
	require.NoError(t, os.WriteFile(name, content, 0o600))
}

// A data directory that cannot be used is an error that says so, and no
// server that answers "not found".
func TestL6_DataUnusable(t *testing.T) {
	file := writeFile(t, "x")
	for _, data := range []string{file, filepath.Join(file, "below")} {
		out := invoke(t, "server", "--listen", "127.0.0.1:0", "--data", data)
		assert.Equal(t, exitError, out.code)
		assert.Contains(t, out.stderr, file)
		assert.Contains(t, out.stderr, "not a directory")
	}
}

// The server starts and serves with every name server unreachable, and is
// listed when one comes up.
func TestL11_NoSelfDependency(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // takes a port, and answers nobody
	require.NoError(t, err)
	defer ln.Close()
	mute := ln.Addr().String()
	d := start(t, "server", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--namesrv", "http://127.0.0.1:1,http://"+mute)
	d.must("publish", "linna", writeFile(t, "x"))
	assert.Equal(t, "x", d.must("get", "linna"))
	code, took := d.terminate()
	assert.Equal(t, exitOK, code)
	assert.Less(t, took, 30*time.Second)
}

// A server whose log is a pipe to nobody goes on.
func TestL11_NobodyReadsTheLog(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer write.Close()
	require.NoError(t, read.Close())
	cmd := command(context.WithoutCancel(t.Context()), nil, "server", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--log-level", "debug")
	cmd.Stderr = write
	d := startCommand(t, cmd)
	d.must("publish", "linna", writeFile(t, "x"))
	assert.Equal(t, "x", d.must("get", "linna"))
	code, _ := d.terminate()
	assert.Equal(t, exitOK, code)
}

// With few file descriptors left nothing new comes in, and what is there goes on,
// with those that it needs; afterwards all is as before.
func TestL10_OutOfFileDescriptors(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a shell is needed to set the limit, and other addresses of the loopback interface")
	}
	program := command(context.WithoutCancel(t.Context()), nil, "server", "--listen", "127.0.0.1:0", "--data", t.TempDir())
	program.Args = append([]string{"sh", "-c", `ulimit -n 256; exec "$0" "$@"`, program.Path}, program.Args[1:]...)
	program.Path = "/bin/sh"
	d := startCommand(t, program)
	d.must("publish", "linna", writeFile(t, "x"))

	// One poll is parked, and one connection is open, before the flood.
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	type answer struct {
		status int
		err    error
	}
	parked := make(chan answer, 1)
	go func() {
		status, err := d.park(client, "linna", "x")
		parked <- answer{status, err}
	}()
	require.Eventually(t, func() bool { return d.metric("diamond_longpoll_waiters") == "1" }, time.Minute, 10*time.Millisecond)

	var flood []net.Conn
	defer func() {
		for _, conn := range flood {
			conn.Close()
		}
	}()
	for i := range 400 { // from many addresses, as few cannot have them all
		from := net.Dialer{Timeout: 30 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%200))}}
		conn, err := from.Dial("tcp", strings.TrimPrefix(d.server, "http://"))
		if err == nil { // else it was refused at once
			flood = append(flood, conn)
		}
	}
	require.Eventually(t, func() bool { return strings.Contains(d.stderr.String(), "connections are turned away: the process") },
		time.Minute, 10*time.Millisecond, "the flood reaches the limit")

	// http.DefaultClient still has the connection on which it read metrics.
	status, body := httpDo(t, http.MethodPost, d.server+"/diamond-server/publishConfig?dataId=linna&group=DEFAULT_GROUP&content=y")
	require.Equal(t, http.StatusOK, status, body)
	select {
	case a := <-parked:
		require.NoError(t, a.err)
		assert.Equal(t, http.StatusOK, a.status)
	case <-time.After(time.Minute):
		assert.Fail(t, "the parked poll was not told")
	}

	for _, conn := range flood {
		conn.Close()
	}
	flood = nil
	require.Eventually(t, func() bool { return d.client("get", "linna", "--timeout", "2s").stdout == "y" }, time.Minute, 100*time.Millisecond)
	assert.NotContains(t, d.stderr.String(), "too many open files")
	// Where this test was stopped for long in its flood, the first of that had timed out.
	assert.Less(t, strings.Count(d.stderr.String(), "connections are turned away"), 5, "it is not said of each")
	require.Eventually(t, func() bool { return strings.Contains(d.stderr.String(), "connections are accepted again") },
		time.Minute, 10*time.Millisecond)
}

// Reads are logged at debug only, and no content ever is.
func TestDefect_O8_Logs(t *testing.T) {
	for _, level := range []string{"info", "debug"} {
		d := standalone(t, t.TempDir(), "--log-level", level)
		d.must("publish", "linna", writeFile(t, "needle-1"))
		for range 50 {
			assert.Equal(t, "needle-1", d.must("get", "linna"))
		}
		for range 20 { // clients that go away are no event either
			_, err := d.park(&http.Client{Timeout: 20 * time.Millisecond}, "linna", "needle-1")
			assert.Error(t, err)
		}
		res, err := http.PostForm(d.server+"/diamond-server/publishConfig",
			url.Values{"dataId": {"not good"}, "group": {"g"}, "content": {"needle-2"}})
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, http.StatusBadRequest, res.StatusCode)
		httpDo(t, http.MethodPost, d.server+"/diamond-server/publishConfig?dataId=linna&group=DEFAULT_GROUP&content=needle-3")
		d.terminate()
		log := d.stderr.String()
		assert.NotContains(t, log, "needle")
		if level == "info" {
			assert.Less(t, strings.Count(log, "\n"), 20, log)
		} else {
			assert.Greater(t, strings.Count(log, "\n"), 50)
		}
		for line := range strings.Lines(log) {
			assert.True(t, json.Valid([]byte(line)), "JSON when it is not a terminal: %s", line)
		}
	}
}
