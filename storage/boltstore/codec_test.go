package boltstore

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
)

// planOne returns the change that a set of one draft makes of an empty store.
func planOne(set *conf.ChangeSet) (conf.Change, conf.Position, error) {
	changes, at, err := storage.Plan(conf.Position{}, set, time.Unix(1, 2000).UTC(), func(conf.Key) (storage.Current, error) { return storage.Current{}, nil })
	return changes[0], at, err
}

func sampleRecords(t testing.TB) []*record {
	t.Helper()
	set := put("a.json", "some content\x00\xff")
	set.Drafts[0].Type, set.Drafts[0].Meta = "json", map[string]string{"k": "v", "a": ""}
	set.Comment, set.Caller = "why", conf.Caller{Principal: conf.Principal{Name: "alice"}, Address: "192.0.2.1:1"}
	publish, at, err := planOne(&set)
	require.NoError(t, err)
	deletion := conf.Change{Revision: 9, Number: 3, Count: 7, Op: conf.OpDelete, Key: key("a"), Time: time.Unix(-5, 0).UTC()}
	originated := deletion
	originated.Origin = "console"
	fork := conf.Change{Revision: 1 << 40, Count: 1, Op: conf.OpFork, Time: time.Time{}.UTC(), Epoch: storage.NextEpoch(4)}
	return []*record{
		{at: pointer{revision: 1}, chain: at.Chain, sequence: 1, ordinal: 1, change: publish},
		{at: pointer{revision: 9, number: 3}, sequence: 1 << 50, ordinal: 2, prev: pointer{true, 8, 1 << 30}, change: deletion},
		{at: pointer{revision: 9, number: 3}, sequence: 7, ordinal: 2, change: originated},
		{at: pointer{revision: 1 << 40}, change: fork},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, r := range sampleRecords(t) {
		got, err := decodeRecord(r.at.bytes(), r.encode())
		require.NoError(t, err)
		c, err := got.full()
		require.NoError(t, err)
		require.Equal(t, r.change, c)
		got.content, got.change = nil, r.change
		require.Equal(t, r, got)
	}
}

// F: whatever is in a row, decoding it does not panic, and what it accepts it
// would write again in the same way.
func FuzzDecodeRecord(f *testing.F) {
	for _, r := range sampleRecords(f) {
		f.Add(r.at.bytes(), r.encode())
	}
	f.Fuzz(func(t *testing.T, k, row []byte) {
		r, err := decodeRecord(k, row)
		if err != nil {
			require.ErrorIs(t, err, conf.ErrCorrupt)
		} else if c, err := r.full(); err == nil {
			r.change = c
			again, err := decodeRecord(k, r.encode())
			require.NoError(t, err)
			again.change.Content = c.Content
			require.Equal(t, r, again)
		}
		// Rows with a right checksum reach further in.
		sealed := encoder(append([]byte(nil), row...))
		sealed.sum(k)
		_, _ = decodeRecord(k, sealed)
	})
}

func FuzzDecodeRows(f *testing.F) {
	h := header{origin: written, epochs: []epochStart{{epoch: storage.NextEpoch(0)}}}
	set := put("a", "x")
	r := newRequest(&set)
	r.time = time.Unix(7, 0)
	for _, s := range sampleRecords(f) {
		f.Add(currentOf(s).encode([]byte("key")))
	}
	f.Add(h.encode())
	h.marked = true
	f.Add(h.encode())
	f.Add(r.encode())
	f.Fuzz(func(t *testing.T, row []byte) {
		k := []byte("key")
		sealed := encoder(append([]byte(nil), row...))
		sealed.sum(k)
		for _, b := range [][]byte{row, sealed} {
			if c, err := decodeCurrent(key("a"), k, b); err == nil {
				again, err := decodeCurrent(key("a"), k, c.encode(k))
				require.NoError(t, err)
				require.Equal(t, c, again)
			}
			if r, err := decodeRequest(k, b); err == nil {
				again, err := decodeRequest(k, r.encode())
				require.NoError(t, err)
				require.Equal(t, r, again)
			}
		}
		sealed = append([]byte(nil), row...)
		sealed.sum(headerKey())
		if h, err := decodeHeader(sealed); err == nil {
			again, err := decodeHeader(h.encode())
			require.NoError(t, err)
			require.Equal(t, h, again)
		}
	})
}

// Row keys are injective and ordered as keys are.
func TestS18_RowKeysOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringOfN(rapid.RuneFrom([]rune("-.09:AZ_az")), 1, 6, -1)
		draw := func() conf.Key {
			return conf.Key{Namespace: part.Draw(t, "namespace"), Group: part.Draw(t, "group"), DataID: part.Draw(t, "dataId")}
		}
		a, b := draw(), draw()
		require.Equal(t, a.Compare(b), strings.Compare(string(keyBytes(a)), string(keyBytes(b))))
		back, err := parseKey(keyBytes(a))
		require.NoError(t, err)
		require.Equal(t, a, back)
	})
}

// Pointers sort by class, revision and number.
func TestPointerOrder(t *testing.T) {
	rising := []pointer{{true, 1, 5}, {true, 1 << 40, 0}, {false, 0, 0}, {false, 1, 0}, {false, 1, 1}, {false, 2, 0}, {false, 1 << 62, 0}}
	for i, p := range rising {
		back, ok := parsePointer(p.bytes())
		require.True(t, ok)
		require.Equal(t, p, back)
		if i > 0 {
			require.Less(t, string(rising[i-1].bytes()), string(p.bytes()))
		}
	}
}

// A record that is marked has an origin: one without would be written with another first byte.
func TestMarkedRecordHasAnOrigin(t *testing.T) {
	r := &record{at: pointer{revision: 3}, change: conf.Change{Count: 1, Op: conf.OpDelete, Key: key("a"), Comment: "why", Origin: "cli"}}
	row := r.encode()
	_, err := decodeRecord(r.at.bytes(), row)
	require.NoError(t, err)
	none := encoder(bytes.Replace(row[:len(row)-checksumSize], []byte("\x03cli"), []byte{0}, 1))
	none.sum(r.at.bytes())
	_, err = decodeRecord(r.at.bytes(), none)
	require.ErrorIs(t, err, conf.ErrCorrupt)
}
