package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/api"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/boltstore"
)

const mebibyte = 1 << 20

// attacks are, for each operation of the specification, a target and what a hostile
// peer sends as the body: head once, and then part again and again, as much as the
// server waits for more of, and never its end.
var attacks = map[string]attack{
	"GET /v1/configs/{namespace}/{group}/{dataId}":    {target: "/v1/configs/public/g/large"},
	"PUT /v1/configs/{namespace}/{group}/{dataId}":    {target: "/v1/configs/public/g/k", part: strings.Repeat("x", 1024)},
	"DELETE /v1/configs/{namespace}/{group}/{dataId}": {target: "/v1/configs/public/g/none", part: "x"},
	"GET /v1/configs": {target: "/v1/configs?contents=true"},
	"GET /v1/history/{namespace}/{group}/{dataId}":   {target: "/v1/history/public/g/large"},
	"POST /v1/changesets":                            {target: "/v1/changesets", head: fmt.Sprintf(`{"op":"publish","key":"k","length":%d}`+"\n", 10*mebibyte), part: strings.Repeat("x", 1024)},
	"POST /v1/poll":                                  {target: "/v1/poll", head: `{"held":[`, part: `{"key":"a","revision":1},`, size: 2 * mebibyte},
	"GET /v1/changes":                                {target: "/v1/changes?contents=true"},
	"POST /v1/reports":                               {target: "/v1/reports", head: `{"reports":[`, part: `{"key":"a","revision":1,"applied":true},`, size: mebibyte * 3 / 4},
	"GET /v1/position":                               {target: "/v1/position"},
	"POST /v1/peer/nudge":                            {target: "/v1/peer/nudge", head: `{"position":"`, part: "x"},
	"GET /v1/whoami":                                 {target: "/v1/whoami"},
	"GET /v1/can":                                    {target: "/v1/can?verb=read&scope=all&as=token:a"},
	"POST /v1/peer/query":                            {target: "/v1/peer/query", head: `{"principal":"`, part: "x"},
	"GET /v1/listeners/{namespace}/{group}/{dataId}": {target: "/v1/listeners/public/g/large"},
	"GET /v1/clients":                                {target: "/v1/clients"},
	"GET /v1/cluster":                                {target: "/v1/cluster"},
	"GET /openapi.yaml":                              {target: "/openapi.yaml"},
	"GET /diamond-server/config":                     {target: "/diamond-server/config?dataId=large&group=g"},
	"POST /diamond-server/publishConfig":             {target: "/diamond-server/publishConfig", head: "dataId=k&content=", part: strings.Repeat("x", 1024)},
	"POST /diamond-server/getProbeModify":            {target: "/diamond-server/getProbeModify", head: "Probe-Modify-Request=", part: strings.Repeat("a%2CG%2C%3B", 100), size: 3 * mebibyte},
}

// unread are more targets, which a hostile peer does not read: answers that are read
// anew from the storage for each who asks, and the node's own pages.
var unread = map[string]string{
	"GET an old version": "/v1/configs/public/g/large?revision=1",
	"GET old changes":    "/v1/changes?contents=true&after=",
	"GET metrics":        "/metrics",
	"GET readiness":      "/readyz?verbose",
}

type attack struct {
	target, head, part string
	size               int // bytes of body; 0: 8 MiB
}

// from returns a dialler of the node at addr from a source address.
func from(source, addr string) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
}

// held is what the process holds, and has used.
type held struct {
	memory            int64
	goroutines, files int
	cpu               time.Duration
}

func holds() held {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	files, _ := os.ReadDir("/proc/self/fd")
	return held{
		int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine(), len(files), time.Duration(u.Utime.Nano() + u.Stime.Nano()),
	}
}

// besiege opens conns connections from source which each send their part of the
// attack, and returns when each has sent it or is not heard any more. They stay open
// until the function that it returns is called.
func besiege(t *testing.T, method, addr, source string, a attack, conns int) (leave func()) {
	dial := from(source, addr)
	var sending sync.WaitGroup
	open := make([]net.Conn, conns)
	for i := range open {
		conn, err := dial(t.Context(), "", "")
		require.NoError(t, err)
		open[i] = conn
		sending.Go(func() {
			_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
			head := method + " " + a.target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nDiamond-Client: id=evil\r\n"
			if a.part == "" {
				_, _ = io.WriteString(conn, head+"\r\n") // the answer is not read
				return
			}
			_, err := io.WriteString(conn, head+"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n")
			size := a.size
			if size == 0 {
				size = 8 * mebibyte
			}
			chunk := a.head + strings.Repeat(a.part, 16<<10/len(a.part)+1)
			for sent := 0; err == nil && sent < size; sent += len(chunk) {
				_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(chunk), chunk)
				chunk = strings.Repeat(a.part, 64<<10/len(a.part)+1)
			}
		})
	}
	sending.Wait()
	return func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	}
}

// behave makes small requests of all kinds from source, and returns how many were
// refused, and the longest that one took.
func behave(t *testing.T, addr, source string) (asked, refused int, slowest time.Duration) {
	network := &http.Transport{DialContext: from(source, addr)}
	defer network.CloseIdleConnections()
	client := &http.Client{Transport: network}
	for i := range 10 {
		for _, r := range [][3]string{
			{"GET", "/v1/configs/public/g/small"},
			{"PUT", "/v1/configs/public/g/small", fmt.Sprint(i)},
			{"POST", "/v1/poll", `{"keys":["g/small","g/large"]}`},
			{"GET", "/diamond-server/config?dataId=small&group=g"},
		} {
			req, err := http.NewRequestWithContext(t.Context(), r[0], "http://127.0.0.1"+r[1], strings.NewReader(r[2]))
			require.NoError(t, err)
			began := time.Now()
			asked++
			res, err := client.Do(req)
			if err != nil {
				refused++
				continue
			}
			_, _ = io.Copy(io.Discard, bufio.NewReader(res.Body))
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				refused++
			}
			slowest = max(slowest, time.Since(began))
		}
	}
	return asked, refused, slowest
}

// For each route that there is: what one address can make the server hold, without
// proving who it is, is bounded, and keeps nobody else out, not even who comes from
// the same address.
func TestX19_OneHostileAddress(t *testing.T) {
	const most, perConn = 64 * mebibyte, 20 << 10
	conns := campaign.Scale(t, 12, 200)
	var spec struct {
		Paths map[string]map[string]yaml.Node
	}
	require.NoError(t, yaml.Unmarshal([]byte(api.OpenAPI), &spec))
	store, err := boltstore.Open(t.TempDir()) // what it reads is in memory for each who asks
	require.NoError(t, err)
	defer store.Close()
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.NewNode(srv, server.WithListener(ln)).Run(ctx) }()
	defer func() {
		stop()
		require.NoError(t, <-ended)
	}()
	for _, letter := range []string{"k", "l"} {
		_, err = srv.Commit(ctx, &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{
			{Key: conf.NewKey("g", "large"), Content: strings.Repeat(letter, 10*mebibyte)}, {Key: conf.NewKey("g", "small"), Content: letter},
		}}})
		require.NoError(t, err)
	}
	addr := ln.Addr().String()
	behave(t, addr, "127.0.0.3") // so that what is cached is there
	idle := runtime.NumGoroutine()
	against := func(name string, a attack) {
		t.Run(name, func(t *testing.T) {
			require.Eventually(t, func() bool { return runtime.NumGoroutine() <= idle+2 }, time.Minute, 10*time.Millisecond,
				"what came before has ended")
			before := holds()
			method, _, _ := strings.Cut(name, " ")
			leave := besiege(t, method, addr, "127.0.0.2", a, conns)
			defer leave()
			var during held
			require.Eventually(t, func() bool { // what is refused may be on its way
				during = holds()
				return during.memory-before.memory <= int64(most+conns*perConn)
			}, time.Minute, 50*time.Millisecond)
			for _, source := range []string{"127.0.0.3", "127.0.0.2"} {
				asked, refused, slowest := behave(t, addr, source)
				assert.LessOrEqual(t, refused*20, asked, "refused from %s", source)
				t.Logf("from %s: %d of %d refused, the slowest took %v", source, refused, asked, slowest.Round(time.Millisecond))
			}
			goroutines, files := during.goroutines-before.goroutines, during.files-before.files-conns // without the attacker's ends
			assert.LessOrEqual(t, goroutines, 3*conns+10)
			assert.LessOrEqual(t, files, conns+10)
			t.Logf("%d connections: %.1f MiB, %d goroutines, %d files, %v of CPU", conns, float64(during.memory-before.memory)/mebibyte,
				goroutines, files, (during.cpu - before.cpu).Round(time.Millisecond))
		})
	}
	for path, item := range spec.Paths {
		for method := range item {
			if method == "parameters" {
				continue
			}
			route := strings.ToUpper(method) + " " + path
			if a, known := attacks[route]; assert.True(t, known, "%s has no attack", route) {
				against(route, a)
			}
		}
	}
	for name, target := range unread {
		against(name, attack{target: target})
	}
}
