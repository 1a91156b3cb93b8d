package follower_test

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
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// An override file that cannot be read for now delays no other key.
func TestD6_AnOverrideThatHangsDelaysNoOtherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b")
		local := &hangingOverride{Files: clienttest.NewFiles(), key: clienttest.KeyA, release: make(chan struct{})}
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var r clienttest.Recorder
		clienttest.Subscribe(t, client, clienttest.KeyA, &r)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		config, err := client.Get(ctx, clienttest.KeyB)
		require.NoError(t, err)
		assert.Equal(t, "b", config.Content)
		close(local.release)
		clienttest.Settle()
		assert.Equal(t, []string{"a"}, r.Contents())
	})
}

// An editor that saves may empty a file for a moment, or write it in parts.
func TestD8_AnOverrideThatSaysNothingKeepsTheLastGoodValue(t *testing.T) {
	for name, typ := range map[string]string{"app.yaml": "yaml", "app": "yaml", "app.json": "json"} {
		synctest.Test(t, func(t *testing.T) {
			key := conf.NewKey("", name)
			c := clienttest.NewCentre()
			c.SetTyped(key, typ, "{n: 1}")
			local := clienttest.NewFiles()
			client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
			clienttest.Get(t, client, key)
			good := "{n: 7}"
			local.SetOverride(key, &good)
			clienttest.Settle()
			require.Equal(t, good, clienttest.Get(t, client, key).Content)
			nothing := []string{"", " \r\n", "\ufeff", "null"}
			if typ == "yaml" {
				nothing = append(nothing, "# comment", "---\n~\n")
			}
			for _, content := range nothing {
				local.SetOverride(key, &content)
				clienttest.Settle()
				require.Equal(t, good, clienttest.Get(t, client, key).Content, "%s %q", name, content)
			}
			for _, content := range nothing { // at a start there is no last good one: the server's
				local.Overrides[key] = content
				again := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
				config := clienttest.Get(t, again, key)
				require.Equal(t, conf.SourceServer, config.Source, "%s %q", name, content)
				require.Equal(t, "{n: 1}", config.Content)
			}
			local.SetOverride(key, nil)
			clienttest.Settle()
			require.Equal(t, conf.SourceServer, clienttest.Get(t, client, key).Source)
		})
	}
}

// A file that cannot be read changes nothing: the value in force stays.
func TestD8_AnOverrideThatCannotBeReadStaysInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		clienttest.Get(t, client, clienttest.KeyA)
		mine, other := "mine", "other"
		local.SetOverride(clienttest.KeyA, &mine)
		clienttest.Settle()
		local.With(func() { local.OverrideErr = conf.Errorf(conf.ErrDenied, "mode 0200") })
		local.SetOverride(clienttest.KeyA, &other)
		clienttest.Settle()
		assert.Equal(t, "mine", clienttest.Get(t, client, clienttest.KeyA).Content)
		local.SetOverride(clienttest.KeyA, nil)
		clienttest.Settle()
		assert.Equal(t, "mine", clienttest.Get(t, client, clienttest.KeyA).Content)
		local.With(func() { local.OverrideErr = nil })
		local.SetOverride(clienttest.KeyA, &other)
		clienttest.Settle()
		assert.Equal(t, "other", clienttest.Get(t, client, clienttest.KeyA).Content)
	})
}

// Of two reads of a file the one that began last counts, however long the other takes.
// The test uses real time, because the time of a bubble does not move while a goroutine
// waits for a lock.
func TestD8_TheOverrideThatWasReadLastIsInForce(t *testing.T) {
	c := clienttest.NewCentre()
	c.Set(clienttest.KeyA, "a")
	local := &slowOverride{Files: clienttest.NewFiles(), reading: make(chan struct{}), release: make(chan struct{})}
	client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
	clienttest.Get(t, client, clienttest.KeyA)
	content := func() string {
		config, _ := client.Get(t.Context(), clienttest.KeyA)
		return config.Content
	}
	first, second := "first", "second"
	local.SetOverride(clienttest.KeyA, &first)
	<-local.reading
	local.SetOverride(clienttest.KeyA, &second)
	assert.Never(t, func() bool { return content() == second }, 50*time.Millisecond, time.Millisecond)
	close(local.release)
	require.Eventually(t, func() bool { return content() == second }, time.Minute, time.Millisecond)
}

// slowOverride are local files of which the first override says what it is at release.
type slowOverride struct {
	*clienttest.Files
	read             atomic.Bool
	reading, release chan struct{}
}

func (f *slowOverride) Override(key conf.Key) (string, error) {
	content, err := f.Files.Override(key)
	if err == nil && f.read.CompareAndSwap(false, true) {
		close(f.reading)
		<-f.release
	}
	return content, err
}

func TestD8_AnOverrideThatIsHalfSavedKeepsWhatWasBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, `{"n": 1}`)
		local := clienttest.NewFiles()
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[number](t.Context(), client, clienttest.KeyA, diamond.WithDefaultContent("json", `{"n": 9}`))
		require.NoError(t, err)
		for _, step := range []struct {
			content string
			want    int
		}{{`{"n": 7}`, 7}, {"", 7}, {`{"n": 8`, 7}, {`{"n": 8}`, 8}} {
			local.SetOverride(clienttest.KeyA, &step.content)
			clienttest.Settle()
			assert.Equal(t, step.want, v.Get().N, "%q", step.content)
		}
		require.NoError(t, v.Err())
	})
}

// A file has no type; its data id need not tell one.
func TestD8_TheTypeOfAnOverrideIsThePublishedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := conf.NewKey("", "limits")
		c := clienttest.NewCentre()
		c.SetTyped(key, "yaml", "n: 1")
		local := clienttest.NewFiles()
		local.Overrides[key] = "n: 7"
		atStart := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		v, err := diamond.Bind[map[string]int](t.Context(), atStart, key)
		require.NoError(t, err)
		assert.Equal(t, 7, (*v.Get())["n"])
		assert.Equal(t, "yaml", clienttest.Get(t, atStart, key).Type)

		c.SetTyped(key, "json", `{"n": 2}`)
		clienttest.Settle()
		assert.Equal(t, "json", clienttest.Get(t, atStart, key).Type)
		c.Remove(key)
		clienttest.Settle()
		assert.Equal(t, "json", clienttest.Get(t, atStart, key).Type, "the last that was published")

		content := "x"
		local.SetOverride(clienttest.KeyB, &content)
		assert.Equal(t, "json", clienttest.Get(t, atStart, clienttest.KeyB).Type, "of a key that never was: by its data id")
	})
}

func TestD6_AnOverrideThatHangsIsTakenInWhenItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		local := &hangingFiles{Files: clienttest.NewFiles(), override: make(chan struct{})}
		local.Overrides[clienttest.KeyA] = "mine"
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		start := time.Now()
		assert.Equal(t, "a", clienttest.Get(t, client, clienttest.KeyA).Content)
		assert.Equal(t, 2*time.Second, time.Since(start), "it goes on without the file")
		local.override <- struct{}{}
		clienttest.Settle()
		assert.Equal(t, "mine", clienttest.Get(t, client, clienttest.KeyA).Content, "this read of it counts, though the next would hang")

		// A change that comes while the file hangs is read afterwards.
		second, third := "mine 2", "mine 3"
		local.Files.SetOverride(clienttest.KeyA, &second)
		time.Sleep(time.Minute)
		local.Files.SetOverride(clienttest.KeyA, &third)
		time.Sleep(time.Minute)
		assert.Equal(t, "mine", clienttest.Get(t, client, clienttest.KeyA).Content)
		close(local.override)
		clienttest.Settle()
		assert.Equal(t, "mine 3", clienttest.Get(t, client, clienttest.KeyA).Content)
	})
}

// As many overrides hang as may be read at a time. Another one, which could not be read
// meanwhile, is read when there is room, although there is no event that it has changed.
func TestD6_AnOverrideThatHadNoRoomIsTakenInLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		var log clienttest.Logs
		local := &hangingMany{Files: clienttest.NewFiles(), release: make(chan struct{})}
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for i := range 70 {
			key := conf.NewKey("hangs", fmt.Sprint(i))
			c.Set(key, "x")
			clienttest.Subscribe(t, client, key, &clienttest.Recorder{})
		}
		time.Sleep(time.Minute)
		c.Set(clienttest.KeyA, "a")
		local.With(func() { local.Overrides[clienttest.KeyA] = "mine" })
		assert.Equal(t, "a", clienttest.Get(t, client, clienttest.KeyA).Content)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, "a", clienttest.Get(t, client, clienttest.KeyA).Content)
		// A file that has no room beside a snapshot that is read just then hangs later: both are said.
		assert.LessOrEqual(t, strings.Count(log.String(), "override file not usable"), 2*71, "each is said once, and not at each try")
		close(local.release)
		time.Sleep(5 * time.Second)
		assert.Equal(t, "mine", clienttest.Get(t, client, clienttest.KeyA).Content)
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, local.asked(clienttest.KeyA), 2, "then there is nothing more to look for")
	})
}

// hangingMany are local files of which the overrides of a group hang until release.
type hangingMany struct {
	*clienttest.Files
	release chan struct{}
	reads   sync.Map // of keys
}

func (h *hangingMany) Override(key conf.Key) (string, error) {
	n, _ := h.reads.LoadOrStore(key, new(atomic.Int32))
	n.(*atomic.Int32).Add(1)
	if key.Group == "hangs" {
		<-h.release
	}
	return h.Files.Override(key)
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
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "a")
		c.Set(clienttest.KeyB, "b")
		local := &hangingFiles{Files: withSnapshots(c, clienttest.KeyA), load: make(chan struct{})}
		local.Snapshots[conf.SlotLastGood][clienttest.KeyB] = clienttest.SnapshotOf(c, clienttest.KeyB)
		c.Fail(clienttest.ErrDown)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		for _, key := range []conf.Key{clienttest.KeyA, clienttest.KeyB} {
			clienttest.Subscribe(t, client, key, &clienttest.Recorder{})
		}
		start := time.Now()
		_, err := client.Get(t.Context(), clienttest.KeyA)
		require.ErrorIs(t, err, conf.ErrUnavailable)
		assert.Equal(t, 3*time.Second, time.Since(start))
		close(local.load)
		clienttest.Settle()
		for key, want := range map[conf.Key]string{clienttest.KeyA: "a", clienttest.KeyB: "b"} {
			config := clienttest.Get(t, client, key)
			assert.Equal(t, want, config.Content)
			assert.Equal(t, conf.SourceSnapshot, config.Source)
		}
	})
}

// As many snapshots hang as may be read at a time. The others are read when there
// is room again.
func TestD6_SnapshotsThatHadNoRoomAreTakenInLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		var log clienttest.Logs
		keys := make([]conf.Key, 200)
		for i := range keys {
			keys[i] = clienttest.KeyN(i)
			c.Set(keys[i], "x")
		}
		local := &hangingFiles{Files: withSnapshots(c, keys...), load: make(chan struct{})}
		c.Fail(clienttest.ErrDown)
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local), diamond.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		told := make([]clienttest.Recorder, len(keys))
		for i := range keys {
			clienttest.Subscribe(t, client, keys[i], &told[i])
		}
		time.Sleep(10 * time.Minute)
		assert.LessOrEqual(t, strings.Count(log.String(), "snapshot not usable"), len(keys), "each is said once")
		close(local.load)
		time.Sleep(10 * time.Second)
		for i := range keys {
			assert.Equal(t, []string{"x"}, told[i].Contents(), i)
		}
	})
}

// An answer of a server is newer than a snapshot whose read hung.
func TestD6_ASnapshotThatComesLateReplacesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clienttest.NewCentre()
		c.Set(clienttest.KeyA, "old")
		local := &hangingFiles{Files: withSnapshots(c, clienttest.KeyA), load: make(chan struct{})}
		c.Set(clienttest.KeyA, "new")
		client := clienttest.NewClient(t, c, diamond.WithLocalFiles(local))
		var r clienttest.Recorder
		require.NoError(t, clienttest.Subscribe(t, client, clienttest.KeyA, &r).Wait(t.Context()))
		close(local.load)
		clienttest.Settle()
		assert.Equal(t, []string{"new"}, r.Contents())
		assert.Equal(t, conf.SourceServer, clienttest.Get(t, client, clienttest.KeyA).Source)
	})
}

// hangingFiles are local files that hang until something is received.
type hangingFiles struct {
	*clienttest.Files
	override, load chan struct{} // nil: they do not hang
}

func (h *hangingFiles) Override(key conf.Key) (string, error) {
	if h.override != nil {
		<-h.override
	}
	return h.Files.Override(key)
}

func (h *hangingFiles) Load(key conf.Key, slot conf.Slot) (conf.Snapshot, error) {
	if h.load != nil {
		<-h.load
	}
	return h.Files.Load(key, slot)
}

// hangingOverride are local files of which one override hangs until release.
type hangingOverride struct {
	*clienttest.Files
	key     conf.Key
	release chan struct{}
}

func (h *hangingOverride) Override(key conf.Key) (string, error) {
	if key == h.key {
		<-h.release
	}
	return h.Files.Override(key)
}
