package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// entry returns the present entry of key.
func (d *daemon) entry(key string) (e entryOut) {
	d.t.Helper()
	require.NoError(d.t, json.Unmarshal([]byte(d.must("get", key, "-o", "json")), &e))
	return e
}

// TestRollback_TakesTheVersionBefore: with its type and metadata, also if these are none,
// or the content is empty.
func TestRollback_TakesTheVersionBefore(t *testing.T) {
	d := standalone(t, t.TempDir())
	d.must("publish", "app/db", writeFile(t, "a: 1"), "--type", "yaml", "--meta", "owner=me")
	d.must("publish", "app/db", writeFile(t, "plain"), "--reset")
	d.must("publish", "app/db", writeFile(t, ""), "--allow-empty", "--type", "text")
	d.must("publish", "app/db", writeFile(t, "bad"), "--type", "json", "--meta", "bad=1")

	var out positionOut
	require.NoError(t, json.Unmarshal([]byte(d.must("rollback", "app/db", "-o", "json")), &out))
	assert.Equal(t, positionOut{keyOut{"public", "app", "db"}, "publish", 5, out.Position, 3}, out)
	assert.NotEmpty(t, out.Position)
	e := d.entry("app/db")
	assert.Equal(t, []any{"", "text", 0, int64(5)}, []any{*e.Content, e.Type, len(e.Meta), e.Revision})

	assert.Equal(t, "publish public/app/db revision 6, with the value of revision 2\n", d.must("rollback", "app/db", "--to", "2", "--comment", "why"))
	e = d.entry("app/db")
	assert.Equal(t, []any{"plain", "", 0}, []any{*e.Content, e.Type, len(e.Meta)})

	d.must("rollback", "app/db", "--to", "1")
	e = d.entry("app/db")
	assert.Equal(t, []any{"a: 1", "yaml", map[string]string{"owner": "me"}}, []any{*e.Content, e.Type, e.Meta})

	var changes []changeOut
	require.NoError(t, json.Unmarshal([]byte(d.must("history", "app/db", "-o", "json")), &changes))
	assert.Equal(t, []string{"roll back to revision 1", "why", "roll back to revision 3"},
		[]string{changes[0].Comment, changes[1].Comment, changes[2].Comment})
}

func TestRollback_Twice(t *testing.T) {
	d := standalone(t, t.TempDir())
	for _, content := range []string{"1", "2", "3"} {
		d.must("publish", "k", writeFile(t, content))
	}
	for _, want := range []string{"2", "3", "2"} { // the version before the first rollback is 3
		d.must("rollback", "k")
		assert.Equal(t, want, d.must("get", "k"))
	}
	d.must("rollback", "k", "--to", "1")
	d.must("rollback", "k", "--to", "7")
	assert.Equal(t, int64(8), d.entry("k").Revision, "the current version too is what was asked for")
	assert.Equal(t, "1", d.must("get", "k"))
}

func TestRollback_AfterADeletion(t *testing.T) {
	d := standalone(t, t.TempDir())
	d.must("publish", "k", writeFile(t, "1"), "--type", "text")
	d.must("rm", "k")
	d.must("rollback", "k")
	e := d.entry("k")
	assert.Equal(t, []any{"1", "text", int64(3)}, []any{*e.Content, e.Type, e.Revision})
	d.must("publish", "k", writeFile(t, "2"))
	d.must("rm", "k")
	d.must("publish", "k", writeFile(t, "3"))
	d.must("rollback", "k")
	assert.Equal(t, "2", d.must("get", "k"), "a deletion is no version")
	d.must("rm", "k")
	d.must("rollback", "k", "--to", "3")
	assert.Equal(t, "1", d.must("get", "k"))
}

func TestRollback_ToNoVersion(t *testing.T) {
	d := standalone(t, t.TempDir())
	d.must("publish", "other", writeFile(t, "x"))
	d.must("publish", "k", writeFile(t, "1"))
	d.must("publish", "gone", writeFile(t, "1"))
	d.must("rm", "gone")
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"rollback k":              {exitNotFound, "no earlier version"},
		"rollback nobody":         {exitNotFound, "no earlier version"},
		"rollback nobody --to 2":  {exitNotFound, "no earlier version"},
		"rollback k --to 1":       {exitNotFound, "not found"}, // of another key
		"rollback gone --to 4":    {exitNotFound, "not found"}, // the deletion
		"rollback k --to 99":      {exitNotFound, "not found"},
		"rollback k --to 0":       {exitUsage, "to: 0 is less than 1"},
		"rollback k --to -1":      {exitUsage, "to: -1 is less than 1"},
		"rollback":                {exitUsage, "a KEY"},
		"rollback k -n *":         {exitUsage, "all namespaces"},
		"rollback k --comment \a": {exitUsage, "comment"},
	} {
		out := d.client(strings.Split(args, " ")...)
		assert.Equal(t, want.code, out.code, "%s: %s", args, out.stderr)
		assert.Contains(t, out.stderr, want.says, args)
	}
	assert.Equal(t, int64(2), d.entry("k").Revision)
}

// overtaking is a transport in whose way another publisher comes: it publishes key before
// each commit.
type overtaking struct {
	diamond.Transport
	key    diamond.Key
	delete bool
}

func (o *overtaking) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	set := diamond.ChangeSet{Drafts: []diamond.Draft{{Key: o.key, Content: "theirs"}}}
	if o.delete {
		set = diamond.ChangeSet{Deletes: []diamond.Delete{{Key: o.key}}}
	}
	if _, err := o.Transport.Commit(ctx, &conf.CommitRequest{Set: set}); err != nil {
		return nil, err
	}
	return o.Transport.Commit(ctx, req)
}

// TestRollback_LosesNoUpdate: if the key changes meanwhile, the rollback is a conflict.
func TestRollback_LosesNoUpdate(t *testing.T) {
	key := diamond.NewKey("", "k")
	for name, c := range map[string]struct {
		deleted bool // before the rollback
		deletes bool // the other publisher
		want    string
	}{
		"published":                 {want: "theirs"},
		"deleted":                   {deletes: true},
		"published after a removal": {deleted: true, want: "theirs"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, err := diamond.NewServer(memstore.New())
			require.NoError(t, err)
			defer srv.Close()
			commit := func(set diamond.ChangeSet) {
				_, err := srv.Commit(t.Context(), &conf.CommitRequest{Set: set})
				require.NoError(t, err)
			}
			for _, content := range []string{"1", "2"} {
				commit(diamond.ChangeSet{Drafts: []diamond.Draft{{Key: key, Content: content}}})
			}
			if c.deleted {
				commit(diamond.ChangeSet{Deletes: []diamond.Delete{{Key: key}}})
			}
			client, err := diamond.NewClient(&overtaking{Transport: srv, key: key, delete: c.deletes})
			require.NoError(t, err)
			defer client.Close()
			_, _, err = rollback(t.Context(), client, key, 0, "", false)
			require.ErrorIs(t, err, diamond.ErrConflict)
			assert.Equal(t, exitConflict, exitCode(err))
			res, err := srv.Fetch(t.Context(), &conf.FetchRequest{Key: key})
			require.NoError(t, err)
			assert.Equal(t, c.want, res.Entry.Content)
		})
	}
}

// TestRollback_ToAVersionThatIsNoLongerKept says which flags decide that.
func TestRollback_ToAVersionThatIsNoLongerKept(t *testing.T) {
	store := memstore.New(memstore.WithRetention(storage.Retention{Age: time.Nanosecond, Changes: 1, Versions: 1}))
	srv, err := diamond.NewServer(store)
	require.NoError(t, err)
	defer srv.Close()
	client, err := diamond.NewClient(srv)
	require.NoError(t, err)
	defer client.Close()
	key := diamond.NewKey("", "k")
	for _, content := range []string{"1", "2", "3"} {
		_, err := client.Publish(t.Context(), diamond.Draft{Key: key, Content: content})
		require.NoError(t, err)
	}
	require.NoError(t, store.Prune(t.Context()))
	_, _, err = rollback(t.Context(), client, key, 1, "", false)
	require.ErrorIs(t, err, diamond.ErrCompacted)
	assert.ErrorContains(t, err, "--history-age")
	_, _, err = rollback(t.Context(), client, key, 0, "", false)
	require.ErrorIs(t, err, diamond.ErrNotFound)
	assert.ErrorContains(t, err, "keeps no earlier version")
}
