//go:build unix

package localfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

// reseal gives a file whose body was changed the right checksum.
func reseal(b []byte) []byte {
	start := len(magic) + 2*sha256.Size + 1
	sum := sha256.Sum256(b[start:])
	out := bytes.Clone(b)
	hex.Encode(out[len(magic):], sum[:])
	return out
}

func TestFileFormat(t *testing.T) {
	s := snapshot(testKey, 7, "limit: 10\n")
	b, err := encode(conf.SlotLastGood, s)
	require.NoError(t, err)
	lines := strings.SplitN(string(b), "\n", 3)
	assert.Regexp(t, "^gdiamond-snapshot 1 [0-9a-f]{64}$", lines[0])
	assert.JSONEq(t, `{
		"store":"01020300000000000000000000000000",
		"epoch":{"generation":4,"id":"05000000000000000000000000000000"},
		"position":"`+s.Position.String()+`",
		"key":"public/DEFAULT_GROUP/app.yaml","slot":"good","revision":7,"view":8,"type":"yaml",
		"md5":"`+s.Entry.MD5+`","sha256":"`+sum(s.Entry.Content)+`","size":10,
		"meta":{"owner":"<a&b> é"},"modified":"2026-03-04T05:06:07.000089Z","saved":"2026-03-04T06:06:07.000089Z"
	}`, lines[1])
	assert.Equal(t, "limit: 10\n", lines[2])
}

func TestD4_CorruptionSweep(t *testing.T) {
	d := openDir(t, t.TempDir())
	s := snapshot(testKey, 7, "limit: 10\nname: example\n")
	good, err := encode(conf.SlotFetched, s)
	require.NoError(t, err)
	path := snapshotPath(d, testKey, conf.SlotFetched)
	refused := func(t *testing.T, bad []byte, what string, args ...any) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		_, err := d.Load(testKey, conf.SlotFetched)
		require.ErrorIs(t, err, conf.ErrCorrupt, append([]any{what}, args...)...)
		_, err = d.Load(testKey, conf.SlotFetched)
		require.ErrorIs(t, err, conf.ErrNotFound, append([]any{what + ": reported once"}, args...)...)
		require.Equal(t, string(bad), read(t, path+corruptSuffix), "set aside as it is")
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if bit == i%8 {
				refused(t, bad, "bit %d of byte %d", bit, i)
			} else if _, _, err := decode(bad); err == nil {
				t.Fatalf("bit %d of byte %d", bit, i)
			}
		}
	}
	for n := range good {
		refused(t, good[:n], "the first %d bytes", n)
	}
	body := func(old, new string) []byte { return reseal([]byte(strings.Replace(string(good), old, new, 1))) }
	for what, bad := range map[string][]byte{
		"empty":                nil,
		"zeros":                make([]byte, len(good)),
		"more":                 append(bytes.Clone(good), 'x'),
		"twice":                append(bytes.Clone(good), good...),
		"wrong magic":          bytes.Replace(good, []byte("gdiamond"), []byte("gdiamont"), 1),
		"future version":       bytes.Replace(good, []byte("snapshot 1 "), []byte("snapshot 2 "), 1),
		"another key":          body("app.yaml", "app.yamm"),
		"key in short":         body("public/DEFAULT_GROUP/", ""),
		"hostile key":          body("public/DEFAULT_GROUP", "../../etc/passwd"),
		"another slot":         body(`"slot":"fetched"`, `"slot":"good"`),
		"no such slot":         body(`"slot":"fetched"`, `"slot":""`),
		"another content":      body("limit: 10", "limit: 99"),
		"longer content":       body("limit: 10", "limit: 100"),
		"another digest":       body(`"md5":"`, `"md5":"0`),
		"another store":        body(`"store":"01`, `"store":"02`),
		"another epoch":        body(`"generation":4`, `"generation":5`),
		"a negative revision":  body(`"revision":7`, `"revision":-7`),
		"a deleted content":    body(`"slot":"fetched"`, `"slot":"fetched","deleted":true`),
		"an unknown field":     body(`{"store"`, `{"extra":1,"store"`),
		"a number for a text":  body(`"type":"yaml"`, `"type":5`),
		"two headers":          body("Z\"}\n", "Z\"}{}\n"),
		"no header":            reseal(good[:len(magic)+2*sha256.Size+1]),
		"an upper-case digest": append([]byte(magic), bytes.ToUpper(good[len(magic):])...),
	} {
		refused(t, bad, what)
	}
	require.NoError(t, d.Save(conf.SlotFetched, s), "the next good one takes its place")
	got, err := d.Load(testKey, conf.SlotFetched)
	require.NoError(t, err)
	require.Equal(t, s, got)
}

func TestD10_SnapshotsOfOthers(t *testing.T) {
	mine, other := openDir(t, t.TempDir()), openDir(t, t.TempDir())
	require.NoError(t, mine.Save(conf.SlotFetched, snapshot(testKey, 1, "mine")))
	copyTo := func(d *Dir, from string, key conf.Key, slot conf.Slot) {
		require.NoError(t, os.WriteFile(snapshotPath(d, key, slot), []byte(read(t, from)), 0o600))
	}
	from := snapshotPath(mine, testKey, conf.SlotFetched)

	copyTo(mine, from, conf.NewKey("", "other.yaml"), conf.SlotFetched)
	_, err := mine.Load(conf.NewKey("", "other.yaml"), conf.SlotFetched)
	assert.ErrorIs(t, err, conf.ErrCorrupt, "another key's")
	copyTo(mine, from, testKey, conf.SlotLastGood)
	_, err = mine.Load(testKey, conf.SlotLastGood)
	assert.ErrorIs(t, err, conf.ErrCorrupt, "another slot's")

	foreign := snapshot(conf.NewKey("", "x"), 1, "theirs")
	foreign.Position.Store = conf.StoreID{9}
	require.NoError(t, other.Save(conf.SlotFetched, foreign))
	copyTo(mine, snapshotPath(other, foreign.Entry.Key, conf.SlotFetched), foreign.Entry.Key, conf.SlotFetched)
	_, err = mine.Load(foreign.Entry.Key, conf.SlotFetched)
	assert.ErrorIs(t, err, conf.ErrOtherStore)

	// A client that is pointed at another store takes its directory with it.
	require.NoError(t, mine.Save(conf.SlotLastGood, foreign))
	_, err = mine.Load(testKey, conf.SlotFetched)
	assert.ErrorIs(t, err, conf.ErrOtherStore)
	_, err = mine.Load(foreign.Entry.Key, conf.SlotFetched)
	assert.NoError(t, err)

	// An empty directory has no store yet: a copied tree of snapshots can be booted from.
	fresh := openDir(t, t.TempDir())
	copyTo(fresh, from, testKey, conf.SlotFetched)
	_, err = fresh.Load(testKey, conf.SlotFetched)
	assert.NoError(t, err)
}

// A server's history may be lost: what follows has a lower revision in a higher epoch.
func TestD9_AnOlderRevisionReplacesANewer(t *testing.T) {
	d := openDir(t, t.TempDir())
	require.NoError(t, d.Save(conf.SlotFetched, snapshot(testKey, 90, "lost")))
	forked := snapshot(testKey, 80, "kept")
	forked.Position.Epoch.Generation++
	require.NoError(t, d.Save(conf.SlotFetched, forked))
	got, err := d.Load(testKey, conf.SlotFetched)
	require.NoError(t, err)
	assert.Equal(t, forked, got)
}

func FuzzF2_SnapshotDecoder(f *testing.F) {
	for _, s := range []conf.Snapshot{{Entry: conf.Entry{Key: testKey}}, {Entry: conf.Entry{Key: testKey}, Deleted: true}, snapshot(testKey, 7, "a: 1\n"), snapshot(testKey, 7, "\x00\n\xff")} {
		b, err := encode(conf.SlotFetched, s)
		require.NoError(f, err)
		f.Add(b, true)
		f.Add(b[:len(b)-1], false)
	}
	f.Add([]byte(magic), true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) > len(magic)+2*sha256.Size {
			b = reseal(b) // else the fuzzer never gets past the checksum
		}
		slot, s, err := decode(b)
		if err != nil {
			if !reflect.DeepEqual(s, conf.Snapshot{}) {
				t.Fatalf("a part of a damaged file: %+v", s)
			}
			return
		}
		if s.Entry.Key.Validate() != nil || s.Entry.Size != int64(len(s.Entry.Content)) || !s.Deleted && s.Entry.MD5 != conf.MD5Hex(s.Entry.Content) {
			t.Fatalf("not consistent: %+v", s)
		}
		again, err := encode(slot, s)
		if err != nil {
			t.Fatal(err)
		}
		slot2, s2, err := decode(again)
		if err != nil || slot2 != slot || s2.Entry.Content != s.Entry.Content || s2.Position != s.Position || s2.Entry.Key != s.Entry.Key {
			t.Fatalf("%+v came back as %+v, %v", s, s2, err)
		}
	})
}
