package govern

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// storages are the storages that a set-up is tested on. Those of the program are on a
// database, too.
func storages(t *testing.T) map[string]diamond.Storage {
	t.Helper()
	bolt, err := boltstore.Open(t.TempDir())
	require.NoError(t, err)
	mem := memstore.New()
	t.Cleanup(func() { assert.NoError(t, bolt.Close()); assert.NoError(t, mem.Close()) })
	return map[string]diamond.Storage{"memstore": mem, "boltstore": bolt}
}

// putKeys commits a value for each key.
func putKeys(t *testing.T, store diamond.Storage, keys ...conf.Key) {
	t.Helper()
	for len(keys) > 0 {
		n := min(len(keys), conf.MaxChanges)
		var set conf.ChangeSet
		for _, key := range keys[:n] {
			set.Drafts = append(set.Drafts, conf.Draft{Key: key.Canonical(), Content: "x"})
		}
		results, err := store.Commit(t.Context(), []conf.ChangeSet{set})
		require.NoError(t, err)
		require.NoError(t, results[0].Err)
		keys = keys[n:]
	}
}

// must reads a document that exists.
func must[D Document](t *testing.T, store diamond.Storage, empty D) D {
	t.Helper()
	have, err := readDocument(t.Context(), store, empty)
	require.NoError(t, err)
	require.NotZero(t, have.revision, "%s", empty.Key())
	return have.doc
}

// create commits documents that do not exist, as another process does.
func create(t *testing.T, store diamond.Storage, documents ...Document) {
	t.Helper()
	drafts, err := newDrafts(documents)
	require.NoError(t, err)
	_, err = commitDirectly(t.Context(), store, conf.ChangeSet{Drafts: drafts})
	require.NoError(t, err)
}

// newest returns the newest change of a document.
func newest(t *testing.T, store diamond.Storage, doc Document) conf.Change {
	t.Helper()
	changes, err := store.History(t.Context(), doc.Key(), 0, 1)
	require.NoError(t, err)
	require.Len(t, changes, 1)
	return changes[0]
}

func TestSetUp_OneCommitWithEverything(t *testing.T) {
	for name, store := range storages(t) {
		t.Run(name, func(t *testing.T) {
			putKeys(t, store, conf.Key{Namespace: "team-b", DataID: "x"}, conf.Key{Namespace: "team-a", DataID: "x"}, conf.Key{Namespace: "team-a", DataID: "y"})
			begun := time.Now().Add(-time.Second)
			result, err := SetUp(t.Context(), store, SetUpOptions{By: "node-1:1210"})
			require.NoError(t, err)
			assert.True(t, result.Minted)
			assert.Equal(t, 3, result.Namespaces)
			assert.NoError(t, CheckTokenSecret(result.Token))
			assert.WithinRange(t, result.Expires, begun.Add(24*time.Hour), time.Now().Add(24*time.Hour))

			marker := must(t, store, &Marker{})
			assert.Equal(t, ModeClosed, marker.Mode)
			assert.Equal(t, "node-1:1210", marker.By)
			assert.Equal(t, marker, &result.Marker)
			positions := must(t, store, &StoreSecret{}).Positions
			assert.Len(t, positions, 32)
			assert.NotEqual(t, make([]byte, 32), positions, "the secret is random")
			must(t, store, &Credentials{})
			token := must(t, store, &Token{Name: SetupToken})
			require.Len(t, token.Secrets, 1)
			assert.Equal(t, HashTokenSecret(result.Token), token.Secrets[0].SHA256)
			assert.Equal(t, result.Expires, token.Secrets[0].Expires)
			assert.Equal(t, []Grant{{Subject: "token:setup", Role: RoleAdministrator}}, must(t, store, &Grants{Scope: AllScope()}).Grants)
			for _, role := range BuiltInRoles() {
				assert.Equal(t, role.Verbs, must(t, store, &Role{Name: role.Name}).Verbs)
			}
			for _, id := range []string{"public", "team-a", "team-b"} {
				assert.Empty(t, must(t, store, &Namespace{ID: id}).Tenant)
			}
			at := newest(t, store, marker)
			assert.Equal(t, OriginSetUp, at.Origin)
			assert.Equal(t, "system", at.Author.Name)
			for _, doc := range []Document{token, &StoreSecret{}, &Grants{Scope: AllScope()}, &Namespace{ID: "team-a"}} {
				assert.Equal(t, at.Revision, newest(t, store, doc).Revision, "all at once")
			}

			again, err := SetUp(t.Context(), store, SetUpOptions{By: "node-2:1210", Mode: ModeObserve})
			require.NoError(t, err)
			assert.Equal(t, SetUpResult{Marker: *marker}, again, "a store is set up once, and stays as it is")
			assert.Equal(t, at.Revision, newest(t, store, marker).Revision)
		})
	}
}

func TestSetUp_Options(t *testing.T) {
	store := memstore.New()
	for _, o := range []SetUpOptions{{Mode: "open"}, {By: "a\nb"}, {By: strings.Repeat("x", 1025)}, {Token: "gd_short"}} {
		_, err := SetUp(t.Context(), store, o)
		assert.ErrorIs(t, err, conf.ErrInvalid)
	}
	secret := NewTokenSecret()
	result, err := SetUp(t.Context(), store, SetUpOptions{Mode: ModeObserve, Token: secret})
	require.NoError(t, err)
	assert.Equal(t, ModeObserve, result.Marker.Mode)
	assert.Equal(t, secret, result.Token)
}

func TestSetUp_ThreeServersAtOnce(t *testing.T) {
	for name, store := range storages(t) {
		t.Run(name, func(t *testing.T) {
			var keys []conf.Key
			for i := range 2000 { // several commits, in which they meet
				keys = append(keys, conf.Key{Namespace: fmt.Sprintf("ns-%04d", i), DataID: "x"})
			}
			putKeys(t, store, keys...)
			results := make([]SetUpResult, 3)
			var all sync.WaitGroup
			for i := range results {
				all.Go(func() {
					var err error
					results[i], err = SetUp(t.Context(), store, SetUpOptions{By: fmt.Sprint("node-", i)})
					assert.NoError(t, err)
				})
			}
			all.Wait()
			minted := 0
			for i, r := range results {
				if r.Minted {
					minted++
					assert.Equal(t, fmt.Sprint("node-", i), r.Marker.By)
					assert.Equal(t, HashTokenSecret(r.Token), must(t, store, &Token{Name: SetupToken}).Secrets[0].SHA256)
				} else {
					assert.Empty(t, r.Token)
				}
				assert.Equal(t, results[0].Marker, r.Marker, "all name the one that has the token")
			}
			assert.Equal(t, 1, minted)
			for _, key := range keys {
				must(t, store, &Namespace{ID: key.Namespace})
			}
		})
	}
}

// A set-up that was killed between its commits is finished by the next one.
func TestSetUp_AfterOneThatWasKilled(t *testing.T) {
	store := memstore.New()
	var keys []conf.Key
	for i := range 1500 {
		keys = append(keys, conf.Key{Namespace: fmt.Sprintf("ns-%04d", i), DataID: "x"})
	}
	putKeys(t, store, keys...)
	ctx, kill := context.WithCancel(t.Context())
	first := &hooked{Storage: store, after: func(n int) {
		if n == 1 {
			kill()
		}
	}}
	_, err := SetUp(ctx, first, SetUpOptions{By: "killed"})
	require.Error(t, err)
	have, err := readDocument(t.Context(), store, &Marker{})
	require.NoError(t, err)
	require.Zero(t, have.revision, "the marker comes last")
	result, err := SetUp(t.Context(), store, SetUpOptions{By: "next"})
	require.NoError(t, err)
	assert.True(t, result.Minted)
	for _, key := range keys {
		must(t, store, &Namespace{ID: key.Namespace})
	}
}

// A namespace that gets its first key while the set-up is under way is registered.
func TestSetUp_ANamespaceThatIsBornMeanwhile(t *testing.T) {
	store := memstore.New()
	born := conf.Key{Namespace: "born", DataID: "x"}
	result, err := SetUp(t.Context(), &hooked{Storage: store, before: func(n int) {
		if n == 1 {
			putKeys(t, store, born)
		}
	}}, SetUpOptions{})
	require.NoError(t, err)
	assert.True(t, result.Minted)
	assert.Equal(t, 2, result.Namespaces)
	must(t, store, &Namespace{ID: "born"})
}

// A namespace that an administrator registers first does not keep the others from it.
func TestSetUp_ANamespaceThatAnotherRegisters(t *testing.T) {
	store := memstore.New()
	result, err := SetUp(t.Context(), &hooked{Storage: store, before: func(n int) {
		switch n {
		case 1:
			putKeys(t, store, conf.Key{Namespace: "born-a", DataID: "x"}, conf.Key{Namespace: "born-b", DataID: "x"})
		case 2:
			create(t, store, &Namespace{ID: "born-a"})
		}
	}}, SetUpOptions{})
	require.NoError(t, err)
	assert.True(t, result.Minted)
	assert.Equal(t, 2, result.Namespaces, "public and born-b")
	must(t, store, &Namespace{ID: "born-b"})
}

// A set-up registers no namespaces once another process has made the marker.
func TestSetUp_AMarkerBeforeTheFirstOfManyNamespaces(t *testing.T) {
	store := memstore.New()
	var keys []conf.Key
	for i := range 1500 {
		keys = append(keys, conf.Key{Namespace: fmt.Sprintf("ns-%04d", i), DataID: "x"})
	}
	putKeys(t, store, keys...)
	result, err := SetUp(t.Context(), &hooked{Storage: store, before: func(n int) {
		if n == 1 {
			create(t, store, &Marker{Mode: ModeClosed, By: "other"})
		}
	}}, SetUpOptions{By: "node"})
	require.NoError(t, err)
	assert.False(t, result.Minted)
	for _, key := range keys {
		have, err := readDocument(t.Context(), store, &Namespace{ID: key.Namespace})
		require.NoError(t, err)
		require.Zero(t, have.revision, "%s", key)
	}
}

// A commit whose answer was lost is found again, and its token is not.
func TestSetUp_AnAnswerThatWasLost(t *testing.T) {
	store := memstore.New()
	result, err := SetUp(t.Context(), &hooked{Storage: store, lose: 1}, SetUpOptions{By: "node"})
	require.NoError(t, err)
	assert.True(t, result.Minted)
	assert.Equal(t, HashTokenSecret(result.Token), must(t, store, &Token{Name: SetupToken}).Secrets[0].SHA256)
}

// A caller whose answer was lost calls again with the same token, and learns that it is its own.
func TestSetUp_AgainAfterAnUnknownOutcome(t *testing.T) {
	store := memstore.New()
	o := SetUpOptions{By: "node", Token: NewTokenSecret()}
	_, err := SetUp(t.Context(), &hooked{Storage: store, lose: 1, away: true}, o)
	require.Error(t, err)
	again, err := SetUp(t.Context(), store, o)
	require.NoError(t, err)
	assert.True(t, again.Minted)
	assert.Equal(t, must(t, store, &Token{Name: SetupToken}).Secrets[0].Expires, again.Expires)
	for _, other := range []SetUpOptions{{By: "node"}, {By: "other", Token: o.Token}} {
		result, err := SetUp(t.Context(), store, other)
		require.NoError(t, err)
		assert.False(t, result.Minted)
	}
}

// A storage that cannot be reached leaves nothing half-done, and its error reaches the caller.
func TestSetUp_TheStorageIsAway(t *testing.T) {
	store := memstore.New()
	require.NoError(t, store.Close())
	_, err := SetUp(t.Context(), store, SetUpOptions{})
	assert.ErrorIs(t, err, conf.ErrClosed)
}

func TestSetUp_ANamespaceOf128Bytes(t *testing.T) {
	for name, store := range storages(t) {
		t.Run(name, func(t *testing.T) {
			long := strings.Repeat("n", conf.MaxNamespace)
			putKeys(t, store, conf.Key{Namespace: long, DataID: "x"})
			_, err := SetUp(t.Context(), store, SetUpOptions{})
			require.NoError(t, err)
			must(t, store, &Namespace{ID: long})
			must(t, store, &Namespace{ID: "public"})
		})
	}
}

func (h *hooked) Read(ctx context.Context, key conf.Key, revision int64) (conf.Entry, error) {
	if h.away && int(h.commits.Load()) >= h.lose {
		return conf.Entry{}, conf.ErrUnavailable
	}
	return h.Storage.Read(ctx, key, revision)
}

// hooked calls functions around each commit, with its number.
type hooked struct {
	diamond.Storage
	before, after func(n int)
	lose          int  // the number of the commit whose answer is lost
	away          bool // after that, nothing can be read
	commits       atomic.Int64
}

func (h *hooked) Commit(ctx context.Context, sets []conf.ChangeSet) ([]conf.Result, error) {
	n := int(h.commits.Add(1))
	if h.before != nil {
		h.before(n)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	results, err := h.Storage.Commit(ctx, sets)
	if h.after != nil {
		h.after(n)
	}
	if n == h.lose {
		return nil, conf.ErrUnknownOutcome
	}
	return results, err
}
