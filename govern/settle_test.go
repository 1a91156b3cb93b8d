package govern

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// seenReads are the requests that can name the position that their sender has seen.
var seenReads = map[string]func(t *testing.T, srv diamond.Server, key conf.Key, seen conf.Position) error{
	"fetch": func(t *testing.T, srv diamond.Server, key conf.Key, seen conf.Position) error {
		_, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: key, After: seen})
		return err
	},
	"history": func(t *testing.T, srv diamond.Server, key conf.Key, seen conf.Position) error {
		_, err := srv.History(t.Context(), &conf.HistoryRequest{Key: key, Seen: seen})
		return err
	},
	"list": func(t *testing.T, srv diamond.Server, key conf.Key, seen conf.Position) error {
		_, err := srv.List(t.Context(), &conf.ListRequest{Namespace: key.Namespace, Seen: seen})
		return err
	},
	"changes": func(t *testing.T, srv diamond.Server, key conf.Key, seen conf.Position) error {
		_, err := srv.Changes(t.Context(), &conf.ChangesRequest{Namespace: key.Namespace, After: seen})
		return err
	},
	"poll": func(t *testing.T, srv diamond.Server, key conf.Key, seen conf.Position) error {
		keys := []conf.Key{key}
		resp, err := srv.Poll(t.Context(), &conf.PollRequest{Keys: keys, Set: conf.HashKeys(keys), Position: seen, Wait: 10 * time.Second})
		if err == nil && (len(resp.Denied) > 0 || resp.Resync) { // it is told of no key
			return conf.ErrDenied
		}
		return err
	},
}

// Who was granted a right at A, and names the position of the grant, is not refused by a B
// that has not seen it yet.
func TestAGrantAtAAndAReadAtAStalledB(t *testing.T) {
	for name, read := range seenReads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New()
				a := open(t, store)
				a.setUp(ModeClosed, append(team("a"), token("a.new"))...)
				a.publish("a.daily/g/k", "v")
				b := open(t, store, diamond.WithFeedInterval(24*time.Hour))
				at := a.judge.sealer().seal(a.write(granted("a.daily", "token:a.new", RoleReader)))
				require.NoError(t, read(t, b.As("token:a.new"), keyOf(t, "a.daily/g/k"), at))
			})
		})
	}
}

// A position that is made up makes nobody wait who is denied. One that is not, and that the
// server does not reach, makes all wait for the same time.
func TestADeniedCallerWaitsNoLongerThanOthers(t *testing.T) {
	for name, read := range seenReads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := governed(t, append(team("a"), token("a.new"))...)
				s.publish("a.daily/g/k", "v")
				key := keyOf(t, "a.daily/g/k")
				ahead := s.door.Status().Position
				ahead.Revision += 1000
				begun := time.Now()
				require.ErrorIs(t, read(t, s.As("token:a.new"), key, ahead), conf.ErrDenied)
				assert.Zero(t, time.Since(begun))
				proven := newSealer(bytes.Repeat([]byte{7}, 32)).seal(ahead) // by another server
				require.ErrorIs(t, read(t, s.As("token:a.new"), key, proven), conf.ErrBehind)
				denied := time.Since(begun)
				begun = time.Now()
				require.ErrorIs(t, read(t, s.As("token:a.reader"), key, proven), conf.ErrBehind)
				assert.Equal(t, time.Since(begun), denied)
			})
		})
	}
}
