package govern

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// root is the principal that may do everything in tests.
const root = "user:root"

// stage is a Centre under test.
type stage struct {
	*Centre
	t   *testing.T
	log *clienttest.Logs
}

// open returns a Centre on storage, which may be governed. It is closed at the end of the
// test, and storage is not.
func open(t *testing.T, storage diamond.Storage, opts ...diamond.ServerOption) *stage {
	t.Helper()
	srv, err := diamond.NewServer(storage, opts...)
	require.NoError(t, err)
	s := &stage{t: t, log: &clienttest.Logs{}}
	s.Centre, err = New(srv, WithLogger(slog.New(slog.NewTextHandler(s.log, nil))))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// governed returns a Centre on a new memstore that is governed, with documents.
func governed(t *testing.T, documents ...Document) *stage {
	t.Helper()
	s := open(t, memstore.New())
	s.setUp(ModeClosed, documents...)
	return s
}

// setUp makes the store governed.
func (s *stage) setUp(mode string, documents ...Document) conf.Position {
	s.t.Helper()
	all := []Document{
		&Marker{Mode: mode}, &StoreSecret{Positions: bytes.Repeat([]byte{7}, 32)},
		&Namespace{ID: "public"}, &User{Name: "root"},
		&Grants{Scope: AllScope(), Grants: []Grant{{Subject: root, Role: RoleAdministrator}}},
	}
	for _, r := range BuiltInRoles() {
		all = append(all, r)
	}
	return s.write(append(all, documents...)...)
}

// write writes documents by the inner door, whoever may.
func (s *stage) write(documents ...Document) conf.Position {
	s.t.Helper()
	resp, err := s.door.Commit(context.Background(), &conf.CommitRequest{Set: s.drafts(documents...)})
	require.NoError(s.t, err)
	return resp.Position
}

func (s *stage) drafts(documents ...Document) (set conf.ChangeSet) {
	s.t.Helper()
	for _, d := range documents {
		content, err := Encode(d)
		require.NoError(s.t, err)
		set.Drafts = append(set.Drafts, conf.Draft{Key: d.Key(), Content: content})
	}
	return set
}

// team returns the documents of a tenant with a namespace, "T.daily", a token "T.reader" that
// may read it and one "T.releaser" that may release in it.
func team(tenant string) []Document {
	id := tenant + ".daily"
	return []Document{
		&Tenant{Name: tenant, Environments: DefaultEnvironments()},
		&Namespace{ID: id, Tenant: tenant, Environment: "daily"},
		token(tenant + ".reader"), token(tenant + ".releaser"),
		granted(id, "token:"+tenant+".reader", RoleReader, "token:"+tenant+".releaser", RoleReleaser),
	}
}

// granted returns the grants on a namespace: subjects, each with its role.
func granted(namespace string, pairs ...string) *Grants {
	g := &Grants{Scope: NamespaceScope(namespace)}
	for i := 0; i < len(pairs); i += 2 {
		g.Grants = append(g.Grants, Grant{Subject: pairs[i], Role: pairs[i+1]})
	}
	return g
}

// secretOf returns the secret of a token in tests.
func secretOf(name string) string { return SecretPrefix + hexSum("secret of " + name)[:43] }

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func token(name string) *Token {
	return &Token{Name: name, Generation: 1, Secrets: []Secret{{SHA256: hexSum(secretOf(name))}}}
}

// publish publishes a value by the inner door.
func (s *stage) publish(key, content string) conf.Position {
	s.t.Helper()
	return s.publishAll(key, content)
}

// publishAll publishes values in one set: keys, each with its content.
func (s *stage) publishAll(pairs ...string) conf.Position {
	s.t.Helper()
	var set conf.ChangeSet
	for i := 0; i < len(pairs); i += 2 {
		set.Drafts = append(set.Drafts, draftFor(s.t, pairs[i], pairs[i+1]))
	}
	resp, err := s.door.Commit(context.Background(), &conf.CommitRequest{Set: set})
	require.NoError(s.t, err)
	return resp.Position
}

func draftFor(t *testing.T, key, content string) conf.Draft {
	t.Helper()
	return conf.Draft{Key: keyOf(t, key), Content: content, AllowEmpty: true}
}

func keyOf(t *testing.T, s string) conf.Key {
	t.Helper()
	k, err := conf.ParseKey(s)
	require.NoError(t, err)
	return k
}

// fetch fetches a key as a principal.
func (s *stage) fetch(principal, key string) (*conf.FetchResponse, error) {
	s.t.Helper()
	return s.As(principal).Fetch(context.Background(), &conf.FetchRequest{Key: keyOf(s.t, key)})
}

// commit commits a value as a principal.
func (s *stage) release(principal, key, content string) error {
	s.t.Helper()
	_, err := s.As(principal).Commit(context.Background(), &conf.CommitRequest{Set: conf.ChangeSet{Drafts: []conf.Draft{draftFor(s.t, key, content)}}})
	return err
}

// edit writes documents as a principal.
func (s *stage) edit(principal string, documents ...Document) error {
	s.t.Helper()
	_, err := s.As(principal).Commit(context.Background(), &conf.CommitRequest{Set: s.drafts(documents...)})
	return err
}

// ask returns a poll of keys, as of p.
func (s *stage) ask(p conf.Position, wait time.Duration, keys ...string) *conf.PollRequest {
	s.t.Helper()
	req := &conf.PollRequest{Position: p, Wait: wait}
	for _, k := range keys {
		req.Keys = append(req.Keys, keyOf(s.t, k))
	}
	req.Set = conf.HashKeys(req.Keys)
	return req
}

// poll polls as a principal.
func (s *stage) poll(principal string, req *conf.PollRequest) *conf.PollResponse {
	s.t.Helper()
	resp, err := s.As(principal).Poll(context.Background(), req)
	require.NoError(s.t, err)
	return resp
}

// park polls in the background, and returns when the poll waits.
func (s *stage) park(principal string, req *conf.PollRequest) <-chan *conf.PollResponse {
	answer := make(chan *conf.PollResponse, 1)
	go func() {
		resp, err := s.As(principal).Poll(context.Background(), req)
		assert.NoError(s.t, err)
		answer <- resp
	}()
	synctest.Wait()
	return answer
}

// listed lists as a principal, page by page.
func (s *stage) listed(principal string, req conf.ListRequest) (keys []string) {
	s.t.Helper()
	for more := true; more; {
		resp, err := s.As(principal).List(context.Background(), &req)
		require.NoError(s.t, err)
		for _, e := range resp.Entries {
			req.After = e.Key
			keys = append(keys, e.Key.String())
		}
		if more = resp.More; more {
			require.NotEmpty(s.t, resp.Entries, "a page with more after it is not empty")
		}
		if len(keys) > 10_000 {
			require.Fail(s.t, "it does not end")
		}
	}
	return keys
}

// isDenied checks that err is the answer to what is not permitted, and names only what the
// caller did.
func isDenied(t *testing.T, err error, namespace string) {
	t.Helper()
	require.ErrorIs(t, err, conf.ErrDenied)
	var e *conf.Error
	require.ErrorAs(t, err, &e)
	assert.True(t, e.Remote)
	assert.Regexp(t, fmt.Sprintf("^not permitted: [a-z]+ on namespace %s$", namespace), e.Detail)
}
