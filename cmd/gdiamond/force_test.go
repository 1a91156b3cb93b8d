package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
)

// What does not say where it comes from comes from the command line.
func TestSigning(t *testing.T) {
	d := servertest.NewDocuments(t)
	key := conf.Key{Namespace: "_x", Group: "g", DataID: "d"}
	for origin, want := range map[string]string{"": originCLI, originImport: originImport} {
		req := &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{{Key: key, Content: "x"}}, Origin: origin}}
		_, err := signing{d}.Commit(t.Context(), req)
		require.NoError(t, err)
		commits := d.Commits()
		assert.Equal(t, want, commits[len(commits)-1].Origin)
		assert.Equal(t, origin, req.Set.Origin, "the caller's request stays as it is")
	}
}

func TestImport_SetsSayWhatTheyAre(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"g/a": "x"})
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	tree := &tree{root: root, namespace: "public", force: true}
	found, err := tree.scan()
	require.NoError(t, err)
	for set, err := range tree.sets(found.files, nil, "why") {
		require.NoError(t, err)
		assert.Equal(t, originImport, set.Origin)
		assert.True(t, set.Force)
		assert.Equal(t, "why", set.Comment)
	}
}
