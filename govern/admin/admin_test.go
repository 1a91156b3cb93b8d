package admin_test

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/govern/admin"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/internal/servertest"
)

func team(name string) *govern.Team { return &govern.Team{Name: name} }

func add(member string) func(*govern.Team, bool) error {
	return func(t *govern.Team, _ bool) error {
		t.Members = append(t.Members, member)
		return nil
	}
}

// An update creates what is not there, and keeps the fields that this program does not
// know, also in the parts of a document.
func TestUpdate_CreatesAndKeepsUnknownFields(t *testing.T) {
	srv := servertest.NewDocuments(t)
	client := clienttest.NewClient(t, srv)
	existed := true
	position, err := admin.Update(t.Context(), client, &govern.Namespace{ID: "pay.daily", Owner: "ignored"}, admin.Options{Comment: "why", Origin: "test", Force: true}, func(n *govern.Namespace, exists bool) error {
		existed = exists
		assert.Empty(t, n.Owner, "only kind and name of the argument count")
		n.Tenant, n.Environment = "pay", "daily"
		return nil
	})
	require.NoError(t, err)
	assert.False(t, existed)
	assert.EqualValues(t, 1, position.Revision)
	set := srv.Commits()[0]
	assert.Equal(t, "why", set.Comment)
	assert.Equal(t, "test", set.Origin)
	assert.True(t, set.Force)
	assert.EqualValues(t, 0, *set.Drafts[0].IfRevision, "only if nobody else has created it")
	assert.Equal(t, "json", set.Drafts[0].Type)

	key := govern.KeyOf(govern.KindNamespace, "pay.daily")
	srv.Write(t, key, `{"format":1,"tenant":"pay","environment":"daily","quota":{"keys":5,"shards":{"a":[1,2]}},"colour":"red"}`)
	_, err = admin.Update(t.Context(), client, &govern.Namespace{ID: "pay.daily"}, admin.Options{}, func(n *govern.Namespace, exists bool) error {
		assert.True(t, exists)
		n.Quota.Keys = 7
		return nil
	})
	require.NoError(t, err)
	assert.JSONEq(t, `{"format":1,"tenant":"pay","environment":"daily","quota":{"keys":7,"shards":{"a":[1,2]}},"colour":"red"}`, srv.Content(t, key))
}

// Where two change a document at once, nothing is lost.
func TestUpdate_BeginsAgainAfterAConflict(t *testing.T) {
	srv := servertest.NewDocuments(t)
	client := clienttest.NewClient(t, srv)
	key := team("a").Key()
	var once sync.Once
	srv.BeforeCommit(func(conf.ChangeSet) error {
		once.Do(func() { srv.Write(t, key, `{"format":1,"members":["user:bob"]}`) })
		return nil
	})
	_, err := admin.Update(t.Context(), client, team("a"), admin.Options{}, add("user:ann"))
	require.NoError(t, err)
	doc, revision, err := admin.Read(t.Context(), client, team("a"))
	require.NoError(t, err)
	assert.Equal(t, []string{"user:bob", "user:ann"}, doc.Members)
	assert.EqualValues(t, 2, revision)
}

// An update gives up after a while, and at once on a conflict that a new read cannot mend.
func TestUpdate_GivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.NewDocuments(t)
		client := clienttest.NewClient(t, srv)
		key := team("a").Key()
		srv.BeforeCommit(func(conf.ChangeSet) error {
			srv.Write(t, key, `{"format":1}`)
			return nil
		})
		_, err := admin.Update(t.Context(), client, team("a"), admin.Options{}, add("user:ann"))
		require.ErrorIs(t, err, conf.ErrConflict)
		assert.Len(t, srv.Commits(), 10)

		srv.BeforeCommit(func(conf.ChangeSet) error {
			return &conf.Error{Op: "commit", Key: team("all").Key(), Err: conf.ErrConflict, Detail: "the last administrator", Remote: true}
		})
		_, err = admin.Update(t.Context(), client, team("a"), admin.Options{}, add("user:ann"))
		require.ErrorContains(t, err, "last administrator")
		assert.Len(t, srv.Commits(), 11)
	})
}

// Nothing is sent where nothing changes, where the change fails, or where the document
// would break a rule.
func TestUpdate_SendsNothing(t *testing.T) {
	srv := servertest.NewDocuments(t)
	client := clienttest.NewClient(t, srv)
	srv.Write(t, team("a").Key(), `{"members":["user:ann"],"format":1}`)
	position, err := admin.Update(t.Context(), client, team("a"), admin.Options{}, func(*govern.Team, bool) error { return nil })
	require.NoError(t, err)
	assert.True(t, position.IsZero())

	failed := errors.New("no")
	_, err = admin.Update(t.Context(), client, team("a"), admin.Options{}, func(*govern.Team, bool) error { return failed })
	require.ErrorIs(t, err, failed)

	_, err = admin.Update(t.Context(), client, team("a"), admin.Options{}, add("team:b"))
	require.ErrorIs(t, err, conf.ErrInvalid)
	require.ErrorContains(t, err, "members[1]")

	_, err = admin.Update(t.Context(), client, team("A"), admin.Options{}, add("user:ann"))
	require.ErrorIs(t, err, conf.ErrInvalid)
	require.ErrorContains(t, err, "name of a team")
	assert.Empty(t, srv.Commits())
}

// A new document without any field is written, unlike an unchanged one.
func TestUpdate_CreatesAnEmptyOne(t *testing.T) {
	srv := servertest.NewDocuments(t)
	client := clienttest.NewClient(t, srv)
	_, err := admin.Update(t.Context(), client, team("a"), admin.Options{}, func(*govern.Team, bool) error { return nil })
	require.NoError(t, err)
	assert.JSONEq(t, `{"format":1}`, srv.Content(t, team("a").Key()))
}

func TestRead_Errors(t *testing.T) {
	srv := servertest.NewDocuments(t)
	client := clienttest.NewClient(t, srv)
	_, _, err := admin.Read(t.Context(), client, team("a"))
	require.ErrorIs(t, err, conf.ErrNotFound)
	srv.Write(t, team("a").Key(), `{"format":2}`)
	_, _, err = admin.Read(t.Context(), client, team("a"))
	require.ErrorIs(t, err, conf.ErrUnavailable, "a later format")
	_, err = admin.Update(t.Context(), client, team("a"), admin.Options{}, add("user:ann"))
	require.ErrorIs(t, err, conf.ErrUnavailable, "and it is not overwritten")
	assert.Empty(t, srv.Commits())
}

func TestList(t *testing.T) {
	srv := servertest.NewDocuments(t)
	client := clienttest.NewClient(t, srv)
	srv.Write(t, team("b").Key(), `{"format":1}`)
	srv.Write(t, team("a").Key(), `{"format":1,"members":["user:ann"]}`)
	srv.Write(t, govern.KeyOf(govern.KindUser, "ann"), `{"format":1}`)
	var names []string
	for stored, err := range admin.List(t.Context(), client, govern.KindTeam) {
		require.NoError(t, err)
		names = append(names, stored.Document.(*govern.Team).Name)
		assert.EqualValues(t, 3-len(names), stored.Revision)
	}
	assert.Equal(t, []string{"a", "b"}, names)

	srv.Write(t, team("c").Key(), `[]`)
	var last error
	for _, err := range admin.List(t.Context(), client, govern.KindTeam) {
		last = err
	}
	require.ErrorIs(t, last, conf.ErrInvalid)
}

// Two documents change together, in a set of the caller's own.
func TestDraft(t *testing.T) {
	draft, err := govern.Draft(&govern.Role{Name: "auditor", Verbs: []string{"list"}}, 4)
	require.NoError(t, err)
	assert.Equal(t, diamond.Revision(4), draft.IfRevision)
	assert.True(t, json.Valid([]byte(draft.Content)))
	_, err = govern.Draft(&govern.Role{Name: "auditor"}, 0)
	require.ErrorIs(t, err, conf.ErrInvalid)
}
