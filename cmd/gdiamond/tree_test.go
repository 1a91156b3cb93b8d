package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

func TestTree_RoundTrip(t *testing.T) {
	d := standalone(t, t.TempDir())
	files := map[string]string{}
	for name, content := range oddContents {
		files["odd/"+name] = content
	}
	files["app.prod/db.yaml"] = "url: x\n"
	files["APP/db.yaml"] = "another"
	files["app/DB.yaml"] = "and another"
	files["big/five-mib"] = strings.Repeat("0123456789abcdef", 5<<20/16)
	source, target := t.TempDir(), filepath.Join(t.TempDir(), "new", "dir")
	writeTree(t, source, files)

	var summary treeOut
	require.NoError(t, json.Unmarshal([]byte(d.must("import", source, "-o", "json")), &summary))
	assert.Equal(t, len(files), summary.Files)
	assert.Equal(t, int64(1), summary.Revision, "one change set")

	assert.Equal(t, fmt.Sprintf("wrote %d files, %d bytes, revision 1\n", summary.Files, summary.Bytes), d.must("export", target))
	assert.Equal(t, files, readTree(t, target))

	out := d.client("export", target)
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "not empty")
}

// More files than a change set may have, and more bytes, still are few change sets.
func TestTree_LargerThanAChangeSet(t *testing.T) {
	d := standalone(t, t.TempDir())
	files := map[string]string{}
	for i := range conf.MaxChanges + 200 {
		files[fmt.Sprintf("many/%05d", i)] = fmt.Sprint(i)
	}
	for i := range 5 {
		files[fmt.Sprintf("large/%d", i)] = strings.Repeat("x", 9<<20)
	}
	source := t.TempDir()
	writeTree(t, source, files)
	var summary treeOut
	require.NoError(t, json.Unmarshal([]byte(d.must("import", source, "-o", "json", "--timeout", "30s")), &summary))
	assert.Equal(t, len(files), summary.Files)
	// large: 3 files (27 MiB), then 2 with the first 998 small ones, then the rest.
	assert.Equal(t, int64(3), summary.Revision)
	target := filepath.Join(t.TempDir(), "out")
	d.must("export", target, "--timeout", "30s")
	assert.Equal(t, files, readTree(t, target))
}

// All that cannot be published is listed, and then nothing is published.
func TestTree_ImportRefuses(t *testing.T) {
	d := standalone(t, t.TempDir())
	source := t.TempDir()
	writeTree(t, source, map[string]string{
		"good/file":         "x",
		"top":               "x",
		"deep/er/file":      "x",
		"good/bad name":     "x",
		"good/naïve":        "x",
		"good/line\nbreak":  "x",
		"bad+group/file":    "x",
		"good/empty":        "",
		"good/blank":        " \n\t\n",
		"good/comment.yaml": "# only\n",
		"good/large":        strings.Repeat("x", diamond.DefaultMaxContent+1),
	})
	require.NoError(t, os.Symlink("/etc/hostname", filepath.Join(source, "good", "link")))

	for _, args := range [][]string{{"import", source}, {"import", source, "--dry-run"}} {
		out := d.client(args...)
		assert.Equal(t, exitError, out.code)
		lines := strings.Split(strings.TrimSpace(out.stderr), "\n")
		require.Len(t, lines, 12, out.stderr)
		assert.Contains(t, lines[11], "nothing was published: 11 of 12")
		for _, says := range []string{
			`"top": is not in a group`, `"deep/er/file": is too deep`, `"good/bad name": dataId: byte`, `"good/naïve": dataId: byte 0xc3 at 2`,
			`"good/line\nbreak": dataId: byte`, `"bad+group/file": group: byte`, `"good/empty": content: is empty, blank, or has no value in its format; to publish it anyway, use --allow-empty`,
			`"good/blank": content: is empty, blank`, `"good/comment.yaml": content: is empty, blank`, `"good/large": content: 10485761 bytes, more than 10485760`,
			`"good/link": is not a regular file`,
		} {
			assert.Contains(t, out.stderr, says)
		}
		assert.Equal(t, "GROUP  DATAID  REVISION  SIZE  TYPE  MD5  MODIFIED\n", d.must("ls"))
	}
}

func TestTree_ImportDryRunAndEmpty(t *testing.T) {
	d := standalone(t, t.TempDir())
	source := t.TempDir()
	files := map[string]string{"g/empty": "", "g/blank": "\n", "g/full": "x"}
	writeTree(t, source, files)
	assert.Equal(t, "would publish 3 files, 2 bytes\n", d.must("import", source, "--allow-empty", "--dry-run"))
	assert.Equal(t, exitNotFound, d.client("get", "g/full").code)
	assert.Equal(t, "published 3 files, 2 bytes, revision 1\n", d.must("import", source, "--allow-empty", "--comment", "begin"))
	assert.Contains(t, d.must("history", "g/empty"), "begin")
	target := t.TempDir()
	d.must("export", target)
	assert.Equal(t, files, readTree(t, target))
}

// A file that is in the way is not overwritten, and nothing is written outside.
func TestTree_ExportStaysInside(t *testing.T) {
	target, outside := t.TempDir(), t.TempDir()
	root, err := openEmpty(target)
	require.NoError(t, err)
	defer root.Close()
	w, err := newTreeWriter(root, "public")
	require.NoError(t, err)
	defer w.close()
	require.NoError(t, os.Symlink(outside, filepath.Join(target, "group")))
	require.NoError(t, w.write(&diamond.Entry{Key: diamond.Key{Group: "group", DataID: "file"}, Content: "x"}))
	for _, key := range []diamond.Key{
		{Group: "..", DataID: "file"}, {Group: "g", DataID: ".."}, {Group: "g", DataID: "../../file"}, {Group: "g/../..", DataID: "file"},
	} {
		assert.Error(t, w.write(&diamond.Entry{Key: key, Content: "x"}), key)
	}
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Two keys that one file name stands for, as where the file system folds case, have
// a file each. What is in the way stays.
func TestTree_ExportOverwritesNothing(t *testing.T) {
	target := t.TempDir()
	root, err := openEmpty(target)
	require.NoError(t, err)
	defer root.Close()
	w, err := newTreeWriter(root, "public")
	require.NoError(t, err)
	writeTree(t, target, map[string]string{"g/app": "in the way"})
	assert.NoError(t, w.write(&diamond.Entry{Key: diamond.Key{Group: "g", DataID: "app"}, Content: "x"}))
	require.NoError(t, w.close())
	assert.Equal(t, map[string]string{"g/app": "in the way", "%67/app": "x"}, readTree(t, target))
	f, err := (&tree{root: root, namespace: "public"}).scan()
	require.NoError(t, err)
	require.Len(t, f.problems, 1)
	assert.ErrorContains(t, f.problems[0], "has the same key as")
}

// What the files cannot say survives: types, metadata, what is empty on purpose,
// and names that file systems do not take.
func TestTree_ExportAndImportKeepAll(t *testing.T) {
	d := standalone(t, t.TempDir())
	long := strings.Repeat("n", conf.MaxDataID)
	keys := []string{"g/plain", "g/" + long, "g/.hidden", "g/a:b", "con/nul", "g/empty", "g/blank", "g/null", "g/Thumbs.db"}
	for _, key := range keys {
		content := "{}"
		if key == "g/empty" {
			content = ""
		} else if key == "g/blank" {
			content = " \n"
		} else if key == "g/null" {
			content = "null"
		}
		out := d.clientWith(content, "publish", key, "--type", "json", "--meta", "owner=core,tier=1", "--allow-empty")
		require.Equal(t, exitOK, out.code, out.stderr)
	}
	require.Equal(t, exitOK, d.clientWith("a: 1", "publish", "g/untyped.yaml", "--reset").code)
	keys = append(keys, "g/untyped.yaml")
	before := d.must("ls", "-o", "json")
	target := t.TempDir()
	d.must("export", target)
	assert.Contains(t, d.must("import", target), "published 0 files, 0 bytes; 10 unchanged")

	other := standalone(t, t.TempDir())
	assert.Contains(t, other.must("import", target), "published 10 files, 22 bytes, revision 1")
	var was, is []entryOut
	require.NoError(t, json.Unmarshal([]byte(before), &was))
	require.NoError(t, json.Unmarshal([]byte(other.must("ls", "-o", "json")), &is))
	require.Len(t, is, len(keys))
	for i := range is {
		was[i].Revision, is[i].Revision, was[i].Modified = 0, 0, is[i].Modified
		assert.Equal(t, was[i], is[i])
	}

	require.Equal(t, exitOK, d.clientWith("a: 1", "publish", "g/untyped.yaml", "--type", "yaml").code)
	assert.Contains(t, d.must("import", target), "published 1 files, 4 bytes", "one with a type is another value")

	// Without the manifest the keys keep what they have, and a cut name is no key's.
	require.NoError(t, os.Remove(filepath.Join(target, manifestName)))
	out := other.client("import", target, "--allow-empty")
	assert.Equal(t, exitError, out.code)
	assert.Contains(t, out.stderr, "its name was shortened")
}

// A file of which the content changed is published alone, and its key keeps what
// the file does not say.
func TestTree_ImportPublishesWhatChanged(t *testing.T) {
	d := standalone(t, t.TempDir())
	require.Equal(t, exitOK, d.clientWith("a: 1", "publish", "g/a", "--type", "yaml", "--meta", "owner=core").code)
	source := t.TempDir()
	files := map[string]string{"g/a": "a: 2"}
	for i := range 300 {
		files[fmt.Sprintf("g/k%03d", i)] = fmt.Sprint(i)
	}
	writeTree(t, source, files)
	assert.Equal(t, "would publish 301 files, 794 bytes\n", d.must("import", source, "--dry-run"))
	assert.Equal(t, "published 301 files, 794 bytes, revision 2\n", d.must("import", source))
	assert.Equal(t, "published 0 files, 0 bytes; 301 unchanged\n", d.must("import", source))
	writeTree(t, source, map[string]string{"g/a": "a: 3"})
	assert.Equal(t, "would publish 1 files, 4 bytes; 300 unchanged\n", d.must("import", source, "--dry-run"))
	assert.Equal(t, "published 1 files, 4 bytes, revision 3; 300 unchanged\n", d.must("import", source))
	var e entryOut
	require.NoError(t, json.Unmarshal([]byte(d.must("get", "g/a", "-o", "json")), &e))
	assert.Equal(t, "yaml", e.Type)
	assert.Equal(t, map[string]string{"owner": "core"}, e.Meta)

	require.Equal(t, exitOK, d.clientWith("a: 3", "publish", "g/a", "--reset").code)
	e = entryOut{}
	require.NoError(t, json.Unmarshal([]byte(d.must("get", "g/a", "-o", "json")), &e))
	assert.Empty(t, e.Type)
	assert.Empty(t, e.Meta)
}

// What systems and editors leave behind is no configuration: it is skipped, and named.
func TestTree_ImportSkipsStrangers(t *testing.T) {
	d := standalone(t, t.TempDir())
	source := t.TempDir()
	writeTree(t, source, map[string]string{
		"g/a": "1", ".git/HEAD": "ref: refs/heads/main", "g/.DS_Store": "x", "g/.a.swp": "x", "g/a~": "x", "g/#a#": "x", "g/Thumbs.db": "x",
	})
	out := d.client("import", source)
	require.Equal(t, exitOK, out.code, out.stderr)
	assert.Equal(t, "published 1 files, 1 bytes, revision 1; skipped 6\n", out.stdout)
	for _, name := range []string{".git", "g/.DS_Store", "g/.a.swp", "g/a~", "g/#a#", "g/Thumbs.db"} {
		assert.Contains(t, out.stderr, fmt.Sprintf("skipped %q", name))
	}
	assert.NotContains(t, out.stderr, "HEAD")
}

// A manifest that is not one of ours is refused, and nothing is published.
func TestTree_ImportRefusesManifests(t *testing.T) {
	d := standalone(t, t.TempDir())
	header := `{"gdiamondExport":1,"namespace":"public"}` + "\n"
	for text, says := range map[string]string{
		"{}\n":                 "line 1: is not the first line",
		`{"gdiamondExport":2}`: "line 1: has form 2; this program reads form 1",
		header + "what?":       "line 2: is not a JSON object",
		header + `{"file":"g/a","group":"g","dataId":"a"}` + "\n" + `{"file":"g/a","group":"g","dataId":"b"}`: "line 3: names \"g/a\" a second time",
		header + `{"file":"g/a","group":"g","dataId":"a/b"}`:                                                  "dataId: byte",
		header + `{"file":"g/a","group":"g","dataId":"a","type":"not a type"}`:                                "type:",
	} {
		source := t.TempDir()
		writeTree(t, source, map[string]string{"g/a": "1", manifestName: text})
		out := d.client("import", source)
		assert.Equal(t, exitError, out.code, text)
		assert.Contains(t, out.stderr, says)
	}
	assert.Equal(t, exitNotFound, d.client("get", "g/a").code)
}

// An export is for its owner's eyes, as contents may be secrets.
func TestTree_ExportIsForItsOwner(t *testing.T) {
	d := standalone(t, t.TempDir())
	require.Equal(t, exitOK, d.clientWith("x", "publish", "g/a").code)
	target := filepath.Join(t.TempDir(), "out")
	d.must("export", target)
	for name, mode := range map[string]os.FileMode{"": 0o700, "g": 0o700, "g/a": 0o600, manifestName: 0o600} {
		info, err := os.Stat(filepath.Join(target, name))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), name)
	}
}

// The manifest names no file that could not be made: it may be another key's.
func TestTreeWriter_NamesNoFileThatIsNotThere(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	require.NoError(t, err)
	defer root.Close()
	w, err := newTreeWriter(root, "public")
	require.NoError(t, err)
	require.NoError(t, w.write(&diamond.Entry{Key: diamond.NewKey("g", "a"), Content: "x"}))
	for _, name := range []string{fileName("b"), otherFileName("b")} {
		require.NoError(t, root.WriteFile("g/"+name, nil, 0o600))
	}
	require.ErrorIs(t, w.write(&diamond.Entry{Key: diamond.NewKey("g", "b"), Content: "x"}), os.ErrExist)
	require.NoError(t, w.close())
	lines, err := readManifest(root)
	require.NoError(t, err)
	require.Len(t, lines, 1)
	require.Contains(t, lines, "g/a")
}
