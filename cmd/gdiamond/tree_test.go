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
	for i := range diamond.MaxChanges + 200 {
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
		"good/file":        "x",
		"top":              "x",
		"deep/er/file":     "x",
		"good/bad name":    "x",
		"good/naïve":       "x",
		"good/line\nbreak": "x",
		"bad+group/file":   "x",
		"good/empty":       "",
		"good/blank":       " \n\t\n",
		"good/large":       strings.Repeat("x", diamond.DefaultMaxContent+1),
	})
	require.NoError(t, os.Symlink("/etc/hostname", filepath.Join(source, "good", "link")))

	for _, args := range [][]string{{"import", source}, {"import", source, "--dry-run"}} {
		out := d.client(args...)
		assert.Equal(t, exitError, out.code)
		lines := strings.Split(strings.TrimSpace(out.stderr), "\n")
		require.Len(t, lines, 11, out.stderr)
		assert.Contains(t, lines[10], "nothing was published: 10 of 11")
		for _, says := range []string{
			`"top": lies in no group`, `"deep/er/file": lies too deep`, `"good/bad name": dataId: byte`, `"good/naïve": dataId: byte 0xc3 at 2`,
			`"good/line\nbreak": dataId: byte`, `"bad+group/file": group: byte`, `"good/empty": content: is empty or blank; --allow-empty`,
			`"good/blank": content: is empty or blank`, `"good/large": content: 10485761 bytes, more than 10485760`,
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
	require.NoError(t, os.Symlink(outside, filepath.Join(target, "group")))
	tr := &tree{root: root}
	for _, key := range []diamond.Key{
		{Group: "group", DataID: "file"}, {Group: "..", DataID: "file"}, {Group: "g", DataID: ".."}, {Group: "g", DataID: "../../file"},
	} {
		assert.Error(t, tr.write(&diamond.Entry{Key: key, Content: "x"}), key)
	}
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, left)
	require.NoError(t, tr.write(&diamond.Entry{Key: diamond.Key{Group: "g", DataID: "file"}, Content: "x"}))
	assert.ErrorIs(t, tr.write(&diamond.Entry{Key: diamond.Key{Group: "g", DataID: "file"}, Content: "y"}), os.ErrExist)
}
