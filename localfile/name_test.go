//go:build unix

package localfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/windowsname"
)

const grammar = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"

// keys draws valid keys, with a liking for those that file systems take amiss.
var keys = rapid.Custom(func(t *rapid.T) conf.Key {
	part := func(limit int, label string) string {
		return rapid.OneOf(
			rapid.StringOfN(rapid.SampledFrom([]rune(grammar)), 1, limit, limit),
			rapid.StringOfN(rapid.SampledFrom([]rune("aA.:")), 1, 4, limit),
			rapid.SampledFrom([]string{"CON", "con", "NUL.txt", "com1", "aux", "...", ".a", "a.", "-", "_a", "DEFAULT_GROUP"}),
		).Filter(func(s string) bool { return s != "." && s != ".." }).Draw(t, label)
	}
	return conf.Key{
		Namespace: part(conf.MaxNamespace, "namespace"),
		Group:     part(conf.MaxGroup, "group"),
		DataID:    part(conf.MaxDataID, "dataId"),
	}
})

// keyOf undoes fileName, for names that are not cut short.
func keyOf(name string) (conf.Key, string) {
	parts := strings.Split(strings.TrimSuffix(name, snapshotSuffix), "+")
	for i, part := range parts {
		var b strings.Builder
		upper := false
		for _, c := range []byte(part) {
			switch {
			case c == '=':
				upper = !upper
				continue
			case c == '%':
				c = ':'
			case upper && 'a' <= c && c <= 'z':
				c -= 'a' - 'A'
			}
			b.WriteByte(c)
		}
		parts[i] = b.String()
	}
	return conf.Key{Namespace: parts[1], Group: parts[2], DataID: parts[3]}, parts[0]
}

func TestX12_FileNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := keys.Draw(t, "key")
		slot := rapid.SampledFrom([]conf.Slot{conf.SlotFetched, conf.SlotLastGood}).Draw(t, "slot")
		name := fileName(key, slot)
		if !strings.Contains(name, "~") {
			back, slotBack := keyOf(name)
			if back != key || slotBack != slotName(slot) {
				t.Fatalf("%q is %v in %q", name, back, slotBack)
			}
		}
		if len(name)+len(corruptSuffix) > 255 {
			t.Fatalf("%d bytes", len(name))
		}
		if name != strings.ToLower(name) || !windowsname.File(name) || strings.HasPrefix(name, ".") {
			t.Fatalf("%q is not a name everywhere", name)
		}
	})
}

func TestX12_DistinctNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := keys.Draw(t, "a")
		b := rapid.OneOf(keys, rapid.Just(conf.Key{ // the same but for the case
			Namespace: a.Namespace, Group: strings.ToUpper(a.Group), DataID: strings.ToLower(a.DataID),
		})).Draw(t, "b")
		same := strings.EqualFold(fileName(a, conf.SlotFetched), fileName(b, conf.SlotFetched))
		if same != (a == b) {
			t.Fatalf("%v and %v: %q and %q", a, b, fileName(a, conf.SlotFetched), fileName(b, conf.SlotFetched))
		}
	})
}

func TestX12_NamesThatPeopleSee(t *testing.T) {
	assert.Equal(t, "fetched+public+=default_group+app.yaml.snap", fileName(testKey, conf.SlotFetched))
	assert.Equal(t, "good+ns+a=bc=d+x%y.snap", fileName(conf.Key{Namespace: "ns", Group: "aBCd", DataID: "x:y"}, conf.SlotLastGood))
	longest := conf.Key{Namespace: strings.Repeat("N", 128), Group: strings.Repeat("g", 128), DataID: strings.Repeat("xX", 128)}
	name := fileName(longest, conf.SlotFetched)
	assert.Len(t, name, maxName)
	d := openDir(t, t.TempDir())
	require.NoError(t, d.Save(conf.SlotFetched, snapshot(longest, 1, "long")))
	got, err := d.Load(longest, conf.SlotFetched)
	require.NoError(t, err)
	assert.Equal(t, longest, got.Entry.Key)
}

var hostileNames = []string{
	"..", "../../etc/x", "/abs", `a\..\b`, ".", "a/b", "a%2Fb", "x@@y", "a\x00b", "a b", "é", strings.Repeat("x", 300), "a\nb",
}

func TestX12_HostileNames(t *testing.T) {
	base := t.TempDir()
	d := openDir(t, filepath.Join(base, "dir"))
	require.NoError(t, os.WriteFile(filepath.Join(base, "secret"), []byte("secret"), 0o600))
	before := paths(t, base)
	for _, name := range hostileNames {
		for _, key := range []conf.Key{
			{Namespace: name, Group: "g", DataID: "d"}, {Namespace: "n", Group: name, DataID: "d"}, {Namespace: "n", Group: "g", DataID: name},
		} {
			assert.ErrorIs(t, d.Save(conf.SlotFetched, snapshot(key, 1, "x")), conf.ErrInvalid, "%q", name)
			_, err := d.Load(key, conf.SlotFetched)
			assert.ErrorIs(t, err, conf.ErrInvalid, "%q", name)
			assert.ErrorIs(t, d.Remove(key), conf.ErrInvalid, "%q", name)
			_, err = d.Override(key)
			assert.ErrorIs(t, err, conf.ErrInvalid, "%q", name)
		}
	}
	assert.ErrorIs(t, d.Save(conf.Slot(9), snapshot(testKey, 1, "x")), conf.ErrInvalid)
	assert.Equal(t, before, paths(t, base), "nothing was written")

	// Names that only look bad are good ones, each a file of its own.
	for i, name := range []string{"CON", "con", "C:x", "A", "a", "...", "..a", "nul.txt"} {
		key := conf.Key{Namespace: "n", Group: "g", DataID: name}
		require.NoError(t, d.Save(conf.SlotFetched, snapshot(key, int64(i+1), name)))
	}
	for i, name := range []string{"CON", "con", "C:x", "A", "a", "...", "..a", "nul.txt"} {
		got, err := d.Load(conf.Key{Namespace: "n", Group: "g", DataID: name}, conf.SlotFetched)
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(i+1, name), fmt.Sprint(got.Entry.Revision, got.Entry.Content))
	}
}

// paths returns all that lies under base.
func paths(t *testing.T, base string) (all []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(base, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	}))
	return all
}
