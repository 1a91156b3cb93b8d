package diamond_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// An override file that cannot be read for now hurts its own key only.
func TestD6_AnOverrideThatHangsHurtsOnlyItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.set(keyB, "b")
		local := &hangingOverride{files: newFiles(), key: keyA, release: make(chan struct{})}
		client := newClient(t, c, diamond.WithLocalFiles(local))
		var r recorder
		subscribe(t, client, keyA, &r)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		config, err := client.Get(ctx, keyB)
		require.NoError(t, err)
		assert.Equal(t, "b", config.Content)
		close(local.release)
		settle()
		assert.Equal(t, []string{"a"}, r.contents())
	})
}

// An editor that saves may empty a file for a moment, or write it in parts.
func TestD8_AnOverrideThatSaysNothingKeepsTheLastGoodValue(t *testing.T) {
	for name, typ := range map[string]string{"app.yaml": "yaml", "app": "yaml", "app.json": "json"} {
		synctest.Test(t, func(t *testing.T) {
			key := conf.NewKey("", name)
			c := newCentre()
			c.setTyped(key, typ, "{n: 1}")
			local := newFiles()
			client := newClient(t, c, diamond.WithLocalFiles(local))
			get(t, client, key)
			good := "{n: 7}"
			local.override(key, &good)
			settle()
			require.Equal(t, good, get(t, client, key).Content)
			nothing := []string{"", " \r\n", "\ufeff", "null"}
			if typ == "yaml" {
				nothing = append(nothing, "# comment", "---\n~\n")
			}
			for _, content := range nothing {
				local.override(key, &content)
				settle()
				require.Equal(t, good, get(t, client, key).Content, "%s %q", name, content)
			}
			for _, content := range nothing { // at a start there is no last good one: the server's
				local.overrides[key] = content
				again := newClient(t, c, diamond.WithLocalFiles(local))
				config := get(t, again, key)
				require.Equal(t, conf.SourceServer, config.Source, "%s %q", name, content)
				require.Equal(t, "{n: 1}", config.Content)
			}
			local.override(key, nil)
			settle()
			require.Equal(t, conf.SourceServer, get(t, client, key).Source)
		})
	}
}

// A file that cannot be read says nothing of what is in it: what is in force stays.
func TestD8_AnOverrideThatCannotBeReadStaysInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		get(t, client, keyA)
		mine, other := "mine", "other"
		local.override(keyA, &mine)
		settle()
		local.with(func() { local.overrideErr = conf.Errorf(conf.ErrDenied, "mode 0200") })
		local.override(keyA, &other)
		settle()
		assert.Equal(t, "mine", get(t, client, keyA).Content)
		local.override(keyA, nil)
		settle()
		assert.Equal(t, "mine", get(t, client, keyA).Content)
		local.with(func() { local.overrideErr = nil })
		local.override(keyA, &other)
		settle()
		assert.Equal(t, "other", get(t, client, keyA).Content)
	})
}

// Of two reads of a file the one that began last counts, however long the other takes.
// Where a lock is waited for, the time of a bubble stands still: this is real time.
func TestD8_TheOverrideThatWasReadLastIsInForce(t *testing.T) {
	c := newCentre()
	c.set(keyA, "a")
	local := &slowOverride{files: newFiles(), reading: make(chan struct{}), release: make(chan struct{})}
	client := newClient(t, c, diamond.WithLocalFiles(local))
	get(t, client, keyA)
	content := func() string {
		config, _ := client.Get(t.Context(), keyA)
		return config.Content
	}
	first, second := "first", "second"
	local.override(keyA, &first)
	<-local.reading
	local.override(keyA, &second)
	assert.Never(t, func() bool { return content() == second }, 50*time.Millisecond, time.Millisecond)
	close(local.release)
	require.Eventually(t, func() bool { return content() == second }, time.Minute, time.Millisecond)
}

// slowOverride are local files of which the first override says what it is at release.
type slowOverride struct {
	*files
	read             atomic.Bool
	reading, release chan struct{}
}

func (f *slowOverride) Override(key conf.Key) (string, error) {
	content, err := f.files.Override(key)
	if err == nil && f.read.CompareAndSwap(false, true) {
		close(f.reading)
		<-f.release
	}
	return content, err
}

func TestD8_AnOverrideThatIsHalfSavedKeepsWhatWasBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, `{"n": 1}`)
		local := newFiles()
		client := newClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[number](t.Context(), client, keyA, diamond.WithDefault("json", `{"n": 9}`))
		require.NoError(t, err)
		for _, step := range []struct {
			content string
			want    int
		}{{`{"n": 7}`, 7}, {"", 7}, {`{"n": 8`, 7}, {`{"n": 8}`, 8}} {
			local.override(keyA, &step.content)
			settle()
			assert.Equal(t, step.want, v.Get().N, "%q", step.content)
		}
		require.NoError(t, v.Err())
	})
}

// A file has no type; its data id need not tell one.
func TestD8_TheTypeOfAnOverrideIsThePublishedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := conf.NewKey("", "limits")
		c := newCentre()
		c.setTyped(key, "yaml", "n: 1")
		local := newFiles()
		local.overrides[key] = "n: 7"
		atStart := newClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[map[string]int](t.Context(), atStart, key)
		require.NoError(t, err)
		assert.Equal(t, 7, (*v.Get())["n"])
		assert.Equal(t, "yaml", get(t, atStart, key).Type)

		c.setTyped(key, "json", `{"n": 2}`)
		settle()
		assert.Equal(t, "json", get(t, atStart, key).Type)
		c.remove(key)
		settle()
		assert.Equal(t, "json", get(t, atStart, key).Type, "the last that was published")

		content := "x"
		local.override(keyB, &content)
		assert.Equal(t, "json", get(t, atStart, keyB).Type, "of a key that never was: by its data id")
	})
}

func TestD6_AnOverrideThatHangsIsTakenInWhenItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		local := &hangingFiles{files: newFiles(), override: make(chan struct{})}
		local.overrides[keyA] = "mine"
		client := newClient(t, c, diamond.WithLocalFiles(local))
		start := time.Now()
		assert.Equal(t, "a", get(t, client, keyA).Content)
		assert.Equal(t, 2*time.Second, time.Since(start), "it goes on without the file")
		local.override <- struct{}{}
		settle()
		assert.Equal(t, "mine", get(t, client, keyA).Content, "this read of it counts, though the next would hang")

		// A change that comes while the file hangs is read afterwards.
		second, third := "mine 2", "mine 3"
		local.files.override(keyA, &second)
		time.Sleep(time.Minute)
		local.files.override(keyA, &third)
		time.Sleep(time.Minute)
		assert.Equal(t, "mine", get(t, client, keyA).Content)
		close(local.override)
		settle()
		assert.Equal(t, "mine 3", get(t, client, keyA).Content)
	})
}

// As many overrides hang as may be read at a time. One that could not be read
// meanwhile is read when there is room, though nobody says that it has changed.
func TestD6_AnOverrideThatHadNoRoomIsTakenInLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		var log logs
		local := &hangingMany{files: newFiles(), release: make(chan struct{})}
		client := newClient(t, c, diamond.WithLocalFiles(local), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for i := range 70 {
			key := conf.NewKey("hangs", fmt.Sprint(i))
			c.set(key, "x")
			subscribe(t, client, key, &recorder{})
		}
		time.Sleep(time.Minute)
		c.set(keyA, "a")
		local.with(func() { local.overrides[keyA] = "mine" })
		assert.Equal(t, "a", get(t, client, keyA).Content)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, "a", get(t, client, keyA).Content)
		assert.LessOrEqual(t, strings.Count(log.String(), "override file not usable"), 71, "each is said once")
		close(local.release)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "mine", get(t, client, keyA).Content)
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, local.asked(keyA), 2, "then there is nothing more to look for")
	})
}

// hangingMany are local files of which the overrides of a group hang until release.
type hangingMany struct {
	*files
	release chan struct{}
	reads   sync.Map // of keys
}

func (h *hangingMany) Override(key conf.Key) (string, error) {
	n, _ := h.reads.LoadOrStore(key, new(atomic.Int32))
	n.(*atomic.Int32).Add(1)
	if key.Group == "hangs" {
		<-h.release
	}
	return h.files.Override(key)
}

func (h *hangingMany) asked(key conf.Key) int {
	n, ok := h.reads.Load(key)
	if !ok {
		return 0
	}
	return int(n.(*atomic.Int32).Load())
}

func TestD6_ASnapshotThatHangsIsTakenInWhenItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "a")
		c.set(keyB, "b")
		local := &hangingFiles{files: withSnapshots(c, keyA), load: make(chan struct{})}
		local.snapshots[conf.SlotLastGood][keyB] = snapshotOf(c, keyB)
		c.fail(errDown)
		client := newClient(t, c, diamond.WithLocalFiles(local))
		for _, key := range []conf.Key{keyA, keyB} {
			subscribe(t, client, key, &recorder{})
		}
		start := time.Now()
		_, err := client.Get(t.Context(), keyA)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Equal(t, 3*time.Second, time.Since(start))
		close(local.load)
		settle()
		for key, want := range map[conf.Key]string{keyA: "a", keyB: "b"} {
			config := get(t, client, key)
			assert.Equal(t, want, config.Content)
			assert.Equal(t, conf.SourceSnapshot, config.Source)
		}
	})
}

// As many snapshots hang as may be read at a time. The others are read when there
// is room again.
func TestD6_SnapshotsThatHadNoRoomAreTakenInLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		var log logs
		keys := make([]conf.Key, 200)
		for i := range keys {
			keys[i] = keyN(i)
			c.set(keys[i], "x")
		}
		local := &hangingFiles{files: withSnapshots(c, keys...), load: make(chan struct{})}
		c.fail(errDown)
		client := newClient(t, c, diamond.WithLocalFiles(local), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		told := make([]recorder, len(keys))
		for i := range keys {
			subscribe(t, client, keys[i], &told[i])
		}
		time.Sleep(10 * time.Minute)
		assert.LessOrEqual(t, strings.Count(log.String(), "snapshot not usable"), len(keys), "each is said once")
		close(local.load)
		time.Sleep(10 * time.Second)
		for i := range keys {
			assert.Equal(t, []string{"x"}, told[i].contents(), i)
		}
	})
}

// What a server has said meanwhile is newer than a snapshot that hung.
func TestD6_ASnapshotThatComesLateReplacesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCentre()
		c.set(keyA, "old")
		local := &hangingFiles{files: withSnapshots(c, keyA), load: make(chan struct{})}
		c.set(keyA, "new")
		client := newClient(t, c, diamond.WithLocalFiles(local))
		var r recorder
		require.NoError(t, subscribe(t, client, keyA, &r).Wait(t.Context()))
		close(local.load)
		settle()
		assert.Equal(t, []string{"new"}, r.contents())
		assert.Equal(t, conf.SourceServer, get(t, client, keyA).Source)
	})
}

// hangingFiles are local files that hang until something is received.
type hangingFiles struct {
	*files
	override, load chan struct{} // nil: they do not hang
}

func (h *hangingFiles) Override(key conf.Key) (string, error) {
	if h.override != nil {
		<-h.override
	}
	return h.files.Override(key)
}

func (h *hangingFiles) Load(key conf.Key, slot conf.Slot) (conf.Snapshot, error) {
	if h.load != nil {
		<-h.load
	}
	return h.files.Load(key, slot)
}

// hangingOverride are local files of which one override hangs until release.
type hangingOverride struct {
	*files
	key     conf.Key
	release chan struct{}
}

func (h *hangingOverride) Override(key conf.Key) (string, error) {
	if key == h.key {
		<-h.release
	}
	return h.files.Override(key)
}
