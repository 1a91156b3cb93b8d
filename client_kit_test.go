package diamond_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

var (
	keyA = conf.NewKey("", "a.json")
	keyB = conf.NewKey("", "b.json")
)

// newClient returns a client that is closed when the test ends; in a bubble
// that is part of what is tested.
func newClient(t testing.TB, transport diamond.Transport, opts ...diamond.ClientOption) diamond.Client {
	t.Helper()
	client, err := diamond.NewClient(transport, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// get is a Get that must succeed.
func get(t testing.TB, client diamond.Client, key conf.Key) conf.Config {
	t.Helper()
	config, err := client.Get(t.Context(), key)
	require.NoError(t, err)
	return config
}

// recorder is a listener that keeps what it is called with.
type recorder struct {
	mu      sync.Mutex
	configs []conf.Config
	verdict func(conf.Config) error // nil: applies all
}

func (r *recorder) OnConfig(_ context.Context, config conf.Config) error {
	r.mu.Lock()
	r.configs = append(r.configs, config)
	verdict := r.verdict
	r.mu.Unlock()
	if verdict != nil {
		return verdict(config)
	}
	return nil
}

// contents are what it was called with, "-" for a deletion.
func (r *recorder) contents() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]string, 0, len(r.configs))
	for _, c := range r.configs {
		if c.Deleted {
			out = append(out, "-")
		} else {
			out = append(out, c.Content)
		}
	}
	return out
}

func (r *recorder) last() conf.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.configs) == 0 {
		return conf.Config{}
	}
	return r.configs[len(r.configs)-1]
}

// subscribe subscribes l, until the test ends.
func subscribe(t testing.TB, client diamond.Client, key conf.Key, l diamond.Listener) *diamond.Subscription {
	t.Helper()
	sub, err := client.Subscribe(key, l)
	require.NoError(t, err)
	t.Cleanup(sub.Stop)
	return sub
}

// settle lets all that is going to happen within a moment happen.
func settle() {
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

// files are local files in memory.
type files struct {
	mu          sync.Mutex
	snapshots   map[conf.Slot]map[conf.Key]conf.Snapshot
	saves       int
	overrides   map[conf.Key]string
	changed     chan conf.Key
	saveErr     error
	saveDelay   time.Duration
	loadErr     error
	loadDelay   time.Duration
	overrideErr error
}

func newFiles() *files {
	return &files{
		snapshots: map[conf.Slot]map[conf.Key]conf.Snapshot{conf.SlotFetched: {}, conf.SlotLastGood: {}},
		overrides: make(map[conf.Key]string),
		changed:   make(chan conf.Key),
	}
}

func (f *files) ClientID() (string, error) { return "client-1", nil }

func (f *files) Load(key conf.Key, slot conf.Slot) (conf.Snapshot, error) {
	f.mu.Lock()
	delay := f.loadDelay
	f.mu.Unlock()
	<-time.After(delay)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loadErr != nil {
		return conf.Snapshot{}, f.loadErr
	}
	s, ok := f.snapshots[slot][key]
	if !ok {
		return s, conf.Errorf(conf.ErrNotFound, "no snapshot")
	}
	return s, nil
}

func (f *files) Save(slot conf.Slot, s conf.Snapshot) error {
	f.mu.Lock()
	delay, err := f.saveDelay, f.saveErr
	f.saves++
	f.mu.Unlock()
	<-time.After(delay)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshots[slot][s.Entry.Key] = s
	return nil
}

func (f *files) Override(key conf.Key) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	content, ok := f.overrides[key]
	if f.overrideErr != nil {
		return "", f.overrideErr
	}
	if !ok {
		return "", conf.Errorf(conf.ErrNotFound, "no override")
	}
	return content, nil
}

func (f *files) WatchOverrides(ctx context.Context, changed func(conf.Key)) error {
	for {
		select {
		case key := <-f.changed:
			changed(key)
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *files) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// override puts an override in place; nil: takes it away.
func (f *files) override(key conf.Key, content *string) {
	f.mu.Lock()
	if content == nil {
		delete(f.overrides, key)
	} else {
		f.overrides[key] = *content
	}
	f.mu.Unlock()
	f.changed <- key
}

func (f *files) snapshot(slot conf.Slot, key conf.Key) (conf.Snapshot, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.snapshots[slot][key]
	return s, ok
}

func (f *files) saveCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.saves
}

// snapshotOf makes a snapshot as the centre c would have been read.
func snapshotOf(c *centre, key conf.Key) conf.Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return conf.Snapshot{Entry: c.entries[key], Position: c.at}
}

// logs collects log records as text.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func keyN(i int) conf.Key { return conf.NewKey("many", "key-"+strconv.Itoa(i)) }
