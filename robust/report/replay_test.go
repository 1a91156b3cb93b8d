package report

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/validate"
)

// replayDir is the report that TestReplay judges.
var replayDir = flag.String("dir", "", "the `directory` of a report to judge again")

// TestReplay judges a report again: go test ./report -run TestReplay -dir=DIR.
func TestReplay(t *testing.T) {
	if *replayDir == "" {
		t.Skip("no report given: -dir=DIR")
	}
	h, err := Read(*replayDir)
	require.NoError(t, err)
	for _, p := range validate.All(h) {
		t.Error(p)
	}
}

// What is read back is judged like what was written.
func TestReportsAreReadBack(t *testing.T) {
	h := &record.History{
		Seed: 7, Settled: 1,
		Faults: []record.Fault{{Name: "cut", Began: 1, Ended: 2}},
		Ops: []record.Op{
			{Client: 1, ID: "a", Kind: record.Put, Keys: []string{"k"}, Digest: "d", Call: 1, Return: 2, Outcome: record.OK, Revision: 1},
			{Client: 2, Kind: record.Get, Keys: []string{"k"}, Call: 3, Return: 4, Outcome: record.OK, Position: 1},
		},
		Told:      []record.Told{{Client: 3, Key: "k", Revision: 1, Digest: "d", Source: "server"}},
		Listeners: []record.Listener{{Client: 3, Key: "k"}},
		Watches:   []record.Watch{{Client: 4, Until: 1, Events: []record.Seen{{Revision: 1, Count: 1, Key: "k", Digest: "d"}}}},
		Held:      []record.Held{{Who: "client 3", Key: "k", Revision: 1, Digest: "d"}},
		Nodes:     []record.Held{{Who: "node 0", Key: "k"}},
		Log:       []record.Change{{Revision: 1, Count: 1, Key: "k", DataID: "k", Op: "publish", Digest: "d", ID: "a"}},
		Entries:   []record.Held{{Who: "storage", Key: "k", Revision: 1, Digest: "d"}},
		Broken:    []string{"x"},
	}
	problems := validate.All(h)
	require.NotEmpty(t, problems)
	dir := filepath.Join(t.TempDir(), "report")
	require.NoError(t, Write(dir, h, problems, map[string]string{"node-0.log": "a line\n"}))
	got, err := Read(dir)
	require.NoError(t, err)
	assert.Equal(t, h, got)
	assert.ElementsMatch(t, problems, validate.All(got))
	assert.FileExists(t, filepath.Join(dir, "history-0.html"), "the read that missed a write")
	b, err := os.ReadFile(filepath.Join(dir, "problems.txt"))
	require.NoError(t, err)
	assert.Contains(t, string(b), "INV-13")
}
