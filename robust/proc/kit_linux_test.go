package proc

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/robust/listened"
	"github.com/linnaname/gdiamond/robust/proxy"
)

// patience is how long a machine that is busy may take for anything.
const patience = 3 * time.Minute

// only leaves a client no way but that to one node.
func (w *World) only(client, node int) {
	for i, link := range w.Links[client] {
		link.Set(proxy.Conditions{Refuse: i != node})
	}
}

// told is a listener that remembers.
type told struct{ listened.Listener }

// await waits until the last that it was told is content.
func (l *told) await(t *testing.T, content string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return l.Last() == content
	}, patience, 20*time.Millisecond, "a listener is not told of %q", content)
}

// follow has a listener at a key, with a client of its own.
func follow(t *testing.T, over diamond.Transport, key diamond.Key) *told {
	t.Helper()
	client, err := diamond.NewClient(over)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	l := new(told)
	_, err = client.Subscribe(key, l)
	require.NoError(t, err)
	return l
}

// metrics returns a server's own metrics, by name and labels; nil: it does not answer.
func metrics(t *testing.T, addr string) map[string]float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/metrics", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	all := make(map[string]float64)
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = n
		}
	}
	return all
}

// metric returns what a server's own metrics say of one that is a whole number; -1: nothing.
func metric(t *testing.T, addr, name string) int {
	t.Helper()
	n, ok := metrics(t, addr)[name]
	if !ok {
		return -1
	}
	return int(n)
}
