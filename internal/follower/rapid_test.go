package follower_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
)

// said is the answer of an arbitrary server about one key.
type said struct {
	revision int64 // 0: it does not exist
	how      int   // inline, named, damaged or of another key
}

// whim is one arbitrary answer.
type whim struct {
	store      byte
	generation int64
	revision   int64
	keys       [3]*said // nil: not mentioned
	kind       int      // an answer, Resync, Draining or an error
}

func whims() *rapid.Generator[whim] {
	one := rapid.Custom(func(t *rapid.T) *said {
		if rapid.Bool().Draw(t, "mentioned") {
			return nil
		}
		return &said{rapid.Int64Range(0, 12).Draw(t, "of"), rapid.IntRange(0, 5).Draw(t, "how")}
	})
	return rapid.Custom(func(t *rapid.T) whim {
		w := whim{
			store:      rapid.SampledFrom([]byte{1, 1, 1, 1, 1, 2}).Draw(t, "store"),
			generation: rapid.SampledFrom([]int64{1, 1, 1, 2, 3}).Draw(t, "generation"),
			revision:   rapid.Int64Range(1, 12).Draw(t, "revision"),
			kind:       rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 1, 2, 3}).Draw(t, "kind"),
		}
		for i := range w.keys {
			w.keys[i] = one.Draw(t, "key")
		}
		return w
	})
}

// arbitrary is a server that answers every request with the next answer of a script.
type arbitrary struct {
	hanging
	mu     sync.Mutex
	script []whim
	absent [3]bool // it has said so
}

// next returns the next whim, or false if the script is over and no answer comes any more.
func (a *arbitrary) next(key int) (whim, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.script) == 0 {
		return whim{}, false
	}
	w := a.script[0]
	a.script = a.script[1:]
	for i, s := range w.keys {
		if (s != nil && s.revision == 0) || (s == nil && i == key) {
			a.absent[i] = true
		}
	}
	return w, true
}

func (w *whim) position() conf.Position {
	return conf.Position{Store: conf.StoreID{w.store}, Epoch: conf.Epoch{Generation: w.generation}, Revision: w.revision}
}

// entry makes the entry that w says key i has. Its content says what it is of.
func (w *whim) entry(i int) conf.Entry {
	s := w.keys[i]
	content := fmt.Sprintf("%d %d %02d %d", w.store, w.generation, s.revision, i)
	e := conf.Entry{
		Key: clienttest.KeyN(i), Content: content, MD5: conf.MD5Hex(content), Size: int64(len(content)),
		Revision: s.revision, View: s.revision,
	}
	switch s.how {
	case 3:
		e.Content = "BAD" + content[3:]
	case 4:
		e.Key = clienttest.KeyN(i + 1)
	}
	return e
}

func (a *arbitrary) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	w, ok := a.next(-1)
	switch {
	case !ok:
		return nil, clienttest.Ended(ctx)
	case w.kind == 1:
		return &conf.PollResponse{Resync: true}, nil
	case w.kind == 3:
		return nil, clienttest.ErrDown
	}
	resp := &conf.PollResponse{Position: w.position(), Draining: w.kind == 2}
	for i, s := range w.keys {
		if s == nil {
			continue
		}
		ks := conf.KeyState{Key: clienttest.KeyN(i), Revision: s.revision, View: s.revision}
		if s.revision > 0 {
			e := w.entry(i)
			ks.MD5 = e.MD5
			if s.how != 2 {
				ks.Entry = &e
			}
		}
		resp.Changed = append(resp.Changed, ks)
	}
	return resp, nil
}

func (a *arbitrary) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	i := int(req.Key.DataID[len(req.Key.DataID)-1] - '0')
	w, ok := a.next(i)
	switch {
	case !ok:
		return nil, clienttest.Ended(ctx)
	case w.kind == 3:
		return nil, clienttest.ErrDown
	}
	resp := &conf.FetchResponse{Position: w.position()}
	if s := w.keys[i]; s != nil && s.revision > 0 {
		resp.Found, resp.Entry = true, w.entry(i)
	}
	return resp, nil
}

// TestF14_UnderArbitraryAnswers: whatever servers answer, a client never goes back, never
// returns a content that is not that of its revision, and never removes a value unless a
// server has said that it is deleted.
func TestF14_UnderArbitraryAnswers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := &arbitrary{script: rapid.SliceOfN(whims(), 1, 60).Draw(rt, "script")}
		var told, read [3][]string
		synctest.Test(t, func(t *testing.T) { told, read = a.run(t) })
		for i := range told {
			check(rt, told[i], a.absent[i])
			check(rt, read[i], a.absent[i])
			for j := 1; j < len(told[i]); j++ {
				assert.NotEqual(rt, told[i][j-1], told[i][j], "none twice")
			}
			assert.True(rt, len(told[i]) == 0 || told[i][0] != "-", "nothing to delete yet")
		}
	})
}

// An answer whose value is newer than the position of the answer is refused. After a
// deletion as of that position, an older value could follow.
func TestAValueAboveItsPositionIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lie := whim{store: 1, generation: 1, revision: 3, keys: [3]*said{{revision: 8}, {revision: 4}, {revision: 3}}}
		a := &arbitrary{script: slices.Repeat([]whim{lie}, 60)}
		told, read := a.run(t)
		for i := range told[:2] {
			assert.Empty(t, told[i])
			assert.Empty(t, read[i])
		}
		assert.Equal(t, []string{"1 1 03 2"}, told[2])
	})
}

// run makes a client ask a for a while. It returns the values that its listeners got and
// those that were read meanwhile, by key.
func (a *arbitrary) run(t *testing.T) (told, read [3][]string) {
	client, err := diamond.NewClient(a, diamond.WithLocalFiles(clienttest.NewFiles()))
	require.NoError(t, err)
	var recorders [3]clienttest.Recorder
	for i := range recorders {
		_, err := client.Subscribe(clienttest.KeyN(i), &recorders[i])
		require.NoError(t, err)
	}
	for range 50 {
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range read {
			if client.Status(clienttest.KeyN(i))[0].Source == conf.SourceNone {
				continue // Get would wait
			}
			if config, err := client.Get(t.Context(), clienttest.KeyN(i)); err == nil {
				read[i] = append(read[i], config.Content)
				assert.Equal(t, conf.MD5Hex(config.Content), config.MD5)
			}
		}
	}
	require.NoError(t, client.Close())
	for i := range recorders {
		told[i] = recorders[i].Contents()
	}
	return told, read
}

// check checks what was seen of one key, in order.
func check(t *rapid.T, contents []string, absent bool) {
	last := ""
	for _, content := range contents {
		if content == "-" {
			require.True(t, absent, "INV-9: nobody said so")
			continue
		}
		require.NotContains(t, content, "BAD", "INV-8")
		require.LessOrEqual(t, strings.Compare(last, content), 0, "INV-4: %q after %q", content, last)
		last = content
	}
}
