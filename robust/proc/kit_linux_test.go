package proc

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
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
type told struct {
	mu  sync.Mutex
	all []diamond.Config // guarded by mu
}

func (l *told) OnConfig(_ context.Context, config diamond.Config) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, config)
	return nil
}

func (l *told) configs() []diamond.Config {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]diamond.Config(nil), l.all...)
}

// await waits until the last that it was told is content.
func (l *told) await(t *testing.T, content string) {
	t.Helper()
	require.Eventually(t, func() bool {
		all := l.configs()
		return len(all) > 0 && all[len(all)-1].Content == content
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
