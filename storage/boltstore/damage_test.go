package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/campaign"
)

// compacted returns the bytes of a store's file without free pages, and all
// that the store holds as text.
func compacted(t *testing.T) (file []byte, text string) {
	t.Helper()
	dir := t.TempDir()
	s := filled(t, dir)
	commit(t, s, put("big", strings.Repeat("0123456789", 3000)))
	require.NoError(t, s.Close())
	_, _, err := Compact(t.Context(), dir)
	require.NoError(t, err)
	file, err = os.ReadFile(fileOf(dir))
	require.NoError(t, err)
	s = open(t, dir)
	text, err = dump(t.Context(), s)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return file, text
}

// place writes a file as a store's and returns its directory.
func place(t *testing.T, file []byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "d")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(fileOf(dir), file, 0o600))
	return dir
}

// Every byte of every content: flipped, it is found by Check, and never
// returned by a read.
func TestCheckFindsEveryFlippedContentByte(t *testing.T) {
	file, _ := compacted(t)
	content := []byte("content 59" + strings.Repeat(" and more", 59))
	start := bytes.Index(file, content)
	require.Positive(t, start)
	step := len(content) / campaign.Scale(t, 25, len(content))
	for i := 0; i < len(content); i += step {
		file[start+i] ^= 0x20
		dir := place(t, file)
		file[start+i] ^= 0x20
		report, err := Check(t.Context(), dir)
		require.ErrorIs(t, err, conf.ErrCorrupt)
		require.NotEmpty(t, report.Problems)
		require.Contains(t, report.String(), "k3")
		require.NotContains(t, report.String(), "and more", "no content in reports")
		s, err := Open(dir)
		require.NoError(t, err, "the rest can be had")
		_, err = s.Read(t.Context(), key("k3"), 60)
		require.ErrorIs(t, err, conf.ErrCorrupt)
		require.ErrorContains(t, err, "gdiamond check "+dir)
		e, err := s.Read(t.Context(), key("big"), 0)
		require.NoError(t, err)
		require.Len(t, e.Content, 30_000)
		require.NoError(t, s.Close())
	}
}

// A flipped bit anywhere in the file: nothing panics, and what can still be
// read is what was stored, or Check says that the file is damaged.
func TestDamageSweep(t *testing.T) {
	file, text := compacted(t)
	random := rand.New(rand.NewPCG(10, 1))
	found := 0
	n := campaign.Scale(t, 300, 20_000)
	for range n {
		at, bit := random.IntN(len(file)), byte(1)<<random.IntN(8)
		file[at] ^= bit
		dir := place(t, file)
		file[at] ^= bit
		_, err := Check(t.Context(), dir)
		if err != nil {
			found++
			require.ErrorIs(t, err, conf.ErrCorrupt, "byte %d", at)
		}
		useDamaged(t, dir, text, err != nil, fmt.Sprintf("byte %d bit %d", at, bit))
	}
	require.Greater(t, found, n/3)
}

// useDamaged opens a damaged store and uses it. It may refuse, but must neither
// panic nor return what was not stored.
func useDamaged(t *testing.T, dir, text string, found bool, what string) {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		require.ErrorIs(t, err, conf.ErrCorrupt, what)
		require.ErrorContains(t, err, "gdiamond check "+dir, what)
		require.True(t, found, "%s: refused by Open and not found by Check", what)
		return
	}
	got, err := dump(t.Context(), s)
	if err != nil {
		require.ErrorIs(t, err, conf.ErrCorrupt, what)
		require.True(t, found, "%s: met by reads and not found by Check", what)
	} else if !found {
		require.Equal(t, text, got, what)
	}
	_, err = s.Commit(t.Context(), []conf.ChangeSet{put("new", "x")})
	require.True(t, err == nil || found, what)
	require.NoError(t, s.Close())
}

// Files of any kind in the store's place: refused, with what to do, and left alone.
func TestOpenRefusesDamage(t *testing.T) {
	file, _ := compacted(t)
	spoil := func(change func(b []byte)) []byte {
		b := bytes.Clone(file)
		change(b)
		return b
	}
	page := os.Getpagesize()
	files := map[string][]byte{
		"empty":             {},
		"short":             file[:100],
		"one page":          file[:page],
		"two pages":         file[:2*page],
		"text":              []byte(strings.Repeat("a: b\n", 10_000)),
		"zeros":             make([]byte, len(file)),
		"both metas":        spoil(func(b []byte) { b[20] ^= 1; b[page+20] ^= 1 }),
		"metas' magic":      spoil(func(b []byte) { clear(b[16:20]); clear(b[page+16 : page+20]) }),
		"pages zeroed":      spoil(func(b []byte) { clear(b[2*page:]) }),
		"pages of noise":    spoil(func(b []byte) { noise(b[2*page:]) }),
		"all pages one":     spoil(func(b []byte) { repeat(b[2*page:], b[2*page:3*page]) }),
		"elements overflow": spoil(func(b []byte) { eachPage(b, page, func(p []byte) { binary.NativeEndian.PutUint16(p[10:], 0xffff) }) }),
		"overflow":          spoil(func(b []byte) { eachPage(b, page, func(p []byte) { binary.NativeEndian.PutUint32(p[12:], 1<<31) }) }),
		"another program's": otherBolt(t),
	}
	_, used, err := readMeta(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	for cut := page; cut < int(used.high)*page; cut += page * 3 {
		files[fmt.Sprint("cut at ", cut)] = file[:cut]
	}
	for name, content := range files {
		dir := place(t, content)
		_, err := Open(dir)
		require.ErrorIs(t, err, conf.ErrCorrupt, name)
		require.ErrorContains(t, err, "gdiamond check "+dir, name)
		require.ErrorContains(t, err, "restore from a backup", name)
		left, err := os.ReadFile(fileOf(dir))
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, left), "%s: the file is left as it is", name)
		report, err := Check(t.Context(), dir)
		require.ErrorIs(t, err, conf.ErrCorrupt, name)
		require.NotEmpty(t, report.Problems, name)
		require.Contains(t, report.String(), "DAMAGED")
		require.NotContains(t, report.String(), "diamond: corrupt", name)
		require.NotContains(t, report.String()+err.Error(), "gdiamond check", "%s: who checks needs no advice to check", name)
		if report.Position.Store == (conf.StoreID{}) {
			require.NotContains(t, report.String(), "revision", "%s: nothing is told of what could not be read", name)
		}
		_, _, err = Compact(t.Context(), dir)
		require.ErrorIs(t, err, conf.ErrCorrupt, name)
	}
}

func noise(b []byte) {
	random := rand.New(rand.NewPCG(3, 3))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}

func repeat(b, page []byte) {
	page = bytes.Clone(page)
	for len(b) > 0 {
		b = b[copy(b, page):]
	}
}

func eachPage(b []byte, size int, change func(page []byte)) {
	for at := 2 * size; at+size <= len(b); at += size {
		change(b[at : at+size])
	}
}

// otherBolt returns a sound file of bbolt's that holds no store.
func otherBolt(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other")
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte("x"))
		return err
	}))
	require.NoError(t, db.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// A store that was put together wrongly, with every checksum right.
func TestCheckFindsContradictions(t *testing.T) {
	for name, spoil := range map[string]func(v *view) error{
		"log row removed":     func(v *view) error { return v.log.Delete(pointer{revision: 30}.bytes()) },
		"current row removed": func(v *view) error { return v.current.Delete(keyBytes(key("k5"))) },
		"current row of an older version": func(v *view) error {
			r, err := v.record(pointer{revision: 50})
			if err != nil {
				return err
			}
			k := keyBytes(r.change.Key)
			return v.current.Put(k, currentOf(r).encode(k))
		},
		"request of another chain": func(v *view) error {
			set := put("a", "x")
			r := newRequest(&set)
			r.revision = 5
			return v.requests.Put(r.key, r.encode())
		},
		"author changed": func(v *view) error {
			return rewrite(v, 33, func(r *record) { r.change.Author.Name = "eve" })
		},
		"content and its hash changed": func(v *view) error {
			return rewrite(v, 33, func(r *record) {
				set := put("x", "another")
				c, _, _ := planOne(&set)
				r.change.Content, r.change.SHA256, r.change.MD5, r.change.Size = "another", c.SHA256, c.MD5, c.Size
			})
		},
		"version before skipped": func(v *view) error {
			return rewrite(v, 50, func(r *record) { r.prev = pointer{revision: 29} })
		},
		"horizon moved": func(v *view) error {
			v.horizon = 3
			return v.save(v.tx)
		},
	} {
		dir := t.TempDir()
		s := filled(t, dir)
		require.NoError(t, s.write(t.Context(), spoil), name)
		require.NoError(t, s.Close())
		report, err := Check(t.Context(), dir)
		require.ErrorIs(t, err, conf.ErrCorrupt, name)
		require.NotEmpty(t, report.Problems, name)
	}
}

// rewrite changes the record of a revision.
func rewrite(v *view, revision int64, change func(*record)) error {
	r, err := v.record(pointer{revision: revision})
	if err != nil {
		return err
	}
	if r.change, err = r.full(); err != nil {
		return err
	}
	change(r)
	return v.log.Put(r.at.bytes(), r.encode())
}

// A file that is cut short under an open store: reads say so and the process lives.
func TestFileCutUnderOpenStore(t *testing.T) {
	dir := t.TempDir()
	s := filled(t, dir)
	for i := range 50 {
		commit(t, s, put(fmt.Sprint("pad", i), strings.Repeat("x", 8000)))
	}
	require.NoError(t, os.Truncate(fileOf(dir), int64(4*os.Getpagesize())))
	_, err := s.Scan(t.Context(), conf.ScanRequest{Limit: 100, Contents: true})
	require.ErrorIs(t, err, conf.ErrCorrupt)
	_, err = s.Read(t.Context(), key("pad40"), 0)
	require.ErrorIs(t, err, conf.ErrCorrupt)
}
