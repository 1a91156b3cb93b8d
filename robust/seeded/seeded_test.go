// Package seeded shows that the tests catch the defects that systems of this kind
// have had. Each is a patch in this folder, named for the defect, which says in its
// first lines what it breaks and which tests must fail with it.
package seeded

import (
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/campaign"
)

const (
	// tree is the top folder of the repository.
	tree = "../.."
	// envCount is the number of tries to make, at random, or "all".
	envCount = "DIAMOND_SEEDED"
)

var (
	// caught is a line of a patch that names a test that must fail.
	caught = regexp.MustCompile(`(?m)^Caught by: (\S+) (Test\w+)$`)
	// patched is a line of a patch that names a file that it changes.
	patched = regexp.MustCompile(`(?m)^--- a/(\S+)$`)
)

// try is a defect and one of the tests that must catch it.
type try struct {
	defect string
	folder string // of the test, from the top folder
	test   string
}

// tries returns the tries of all patches.
func tries(t *testing.T) (all []try) {
	patches, err := filepath.Glob("*.patch")
	require.NoError(t, err)
	for _, patch := range patches {
		text, err := os.ReadFile(patch)
		require.NoError(t, err)
		tests := caught.FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, tests, "%s names no test", patch)
		for _, m := range tests {
			all = append(all, try{strings.TrimSuffix(patch, ".patch"), m[1], m[2]})
		}
	}
	return all
}

// chosen returns the tries to make.
func chosen(t *testing.T) []try {
	all := tries(t)
	said := os.Getenv(envCount)
	switch {
	case said == "all" || campaign.On():
		return all
	case said == "":
		t.Skip("each defect is a build of its own: make seeded-bugs")
	}
	n, err := strconv.Atoi(said)
	require.NoError(t, err, envCount)
	t.Logf("%d of %d tries, at random (%s=all makes all)", n, len(all), envCount)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

// apply applies the patch of a defect to copies of the files that it changes. It
// returns what the go command's flag -overlay takes, so that these are compiled
// in place of the tree's.
func apply(t *testing.T, defect string) (overlay string) {
	patch, err := filepath.Abs(defect + ".patch")
	require.NoError(t, err)
	text, err := os.ReadFile(patch)
	require.NoError(t, err)
	copies := t.TempDir()
	for _, m := range patched.FindAllStringSubmatch(string(text), -1) {
		source, err := os.ReadFile(filepath.Join(tree, m[1]))
		require.NoError(t, err, "%s changes a file that is not there", defect)
		target := filepath.Join(copies, m[1])
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o700))
		require.NoError(t, os.WriteFile(target, source, 0o600))
	}
	cmd := exec.CommandContext(t.Context(), "git", "apply", patch)
	cmd.Dir = copies
	// A repository around the temporary folder is none of git's business here.
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(copies))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s no longer applies: change the patch as the code was changed\n%s", defect, out)

	var replaced struct{ Replace map[string]string }
	replaced.Replace = make(map[string]string)
	require.NoError(t, filepath.WalkDir(copies, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(copies, path)
		if err != nil {
			return err
		}
		original, err := filepath.Abs(filepath.Join(tree, name))
		replaced.Replace[original] = path
		return err
	}))
	content, err := json.Marshal(replaced)
	require.NoError(t, err)
	overlay = filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(overlay, content, 0o600))
	return overlay
}

// TestSeededBugs builds each defect in and runs the test that must catch it. All
// other runs of the tests show that it passes without the defect.
func TestSeededBugs(t *testing.T) {
	for _, try := range chosen(t) {
		t.Run(try.defect+"/"+try.test, func(t *testing.T) {
			command := []string{"test", "-count=1", "-failfast", "-timeout=1h", "-overlay=" + apply(t, try.defect), "-run=^" + try.test + "$", "."}
			cmd := exec.CommandContext(t.Context(), "go", command...)
			cmd.Dir = filepath.Join(tree, try.folder)
			// Chaos tries so many seeds until one finds the defect.
			cmd.Env = append(os.Environ(), "DIAMOND_SEEDS=40", "DIAMOND_REPORTS="+t.TempDir())
			out, err := cmd.CombinedOutput()
			assert.Error(t, err, "go %s passes in %s: nothing catches the defect", strings.Join(command, " "), try.folder)
			require.Contains(t, string(out), "--- FAIL: "+try.test, "it must be the test that fails:\n%s", out)
		})
	}
}

// TestPatchesApply: every defect can be built into the tree as it is.
func TestPatchesApply(t *testing.T) {
	for _, try := range tries(t) {
		t.Run(try.defect+"/"+try.test, func(t *testing.T) { apply(t, try.defect) })
	}
}

// TestTheTrackRecordIsWhole: the README has a row for each defect.
func TestTheTrackRecordIsWhole(t *testing.T) {
	record, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	for _, try := range tries(t) {
		assert.Contains(t, string(record), "\n| ["+try.defect+"](seeded/"+try.defect+".patch) |")
	}
}
