// Package rights changes the rights in a governed cluster while a run goes on, and tries them.
package rights

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/robust/record"
	"github.com/linnaname/gdiamond/robust/traffic"
)

// The tokens of a run, beside the guests. Writer publishes, reads and watches, and never loses
// its right. Subscriber reads, and loses its right and gets it back.
const (
	Administrator = govern.SetupToken
	Writer        = "writer"
	Subscriber    = "subscriber"
)

// namespace is where all keys are, and scope is the scope of all grants that change.
const namespace = conf.DefaultNamespace

// Guest returns the name of the token of the number-th guest, which may release, and loses its
// right and its secret and gets others.
func Guest(number int) string { return fmt.Sprintf("guest-%d", number) }

// GuestKey returns the key that only a guest writes.
func GuestKey(guest string) diamond.Key { return diamond.NewKey("guests", guest) }

// Cast has the tokens of a run, as their owners and the administrator know them. [SetUp] makes
// one. It is safe for concurrent use.
type Cast struct {
	guests   int
	dir      string // of the files with the secrets in use, or "" for none
	recorder *record.Recorder

	mu      sync.Mutex
	secrets map[string]string // by token: the one in use; guarded by mu
	former  map[string]string // by token: the one before; guarded by mu
	granted map[string]string // roles by token; guarded by mu
}

// SetUp makes the store governed, and gives the tokens their rights. The secrets in use are kept
// in files in dir, unless that is empty.
func SetUp(ctx context.Context, store diamond.Storage, guests int, dir string, recorder *record.Recorder) (*Cast, error) {
	c := &Cast{
		guests: guests, dir: dir, recorder: recorder, secrets: make(map[string]string), former: make(map[string]string),
		granted: map[string]string{Writer: govern.RoleReleaser, Subscriber: govern.RoleReader},
	}
	result, err := govern.SetUp(ctx, store, govern.SetUpOptions{})
	if err != nil {
		return nil, err
	}
	c.secrets[Administrator] = result.Token
	for i := range guests {
		c.granted[Guest(i)] = govern.RoleReleaser
	}
	documents := []govern.Document{c.grants(), &govern.Grants{Scope: govern.AllScope(), Grants: []govern.Grant{
		{Subject: "token:" + Administrator, Role: govern.RoleAdministrator},
		{Subject: "token:" + Writer, Role: govern.RoleReader}, // who reads everything is shown sets as they are numbered in the log
	}}}
	for name := range c.granted {
		c.secrets[name] = govern.NewTokenSecret()
		documents = append(documents, tokenOf(name, c.secrets[name]))
	}
	srv, err := diamond.NewServer(store)
	if err != nil {
		return nil, err
	}
	centre, err := govern.New(srv)
	if err != nil {
		return nil, errors.Join(err, srv.Close())
	}
	for !centre.Status().Ready {
		time.Sleep(time.Millisecond)
	}
	set, err := setOf(documents...)
	if err == nil {
		began := recorder.Now()
		var resp *conf.CommitResponse
		resp, err = centre.As("token:"+Administrator).Commit(ctx, &conf.CommitRequest{Set: set})
		if err == nil {
			for name := range c.granted {
				c.note(grantOf(name), true, began, resp.Position)
				c.note(secretOf(c.secrets[name]), true, began, resp.Position)
			}
		}
	}
	for name, secret := range c.secrets {
		err = errors.Join(err, c.save(name, secret))
	}
	return c, errors.Join(err, centre.Close())
}

// note records that something was given or taken.
func (c *Cast) note(what string, given bool, began int64, at diamond.Position) {
	c.recorder.Right(record.Right{What: what, Given: given, Call: began, Return: c.recorder.Now(), Revision: at.Revision})
}

// grantOf and secretOf name what a caller needs: the grant of its token, and its secret to be
// valid.
func grantOf(token string) string   { return "grant " + token }
func secretOf(secret string) string { return "secret " + govern.HashTokenSecret(secret)[:12] }

// Secret returns the secret that the owner of a token uses.
func (c *Cast) Secret(token string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.secrets[token]
}

// someSecret returns the secret that a guest uses, or with former that of before, if there is
// one.
func (c *Cast) someSecret(token string, former bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.former[token]; former && old != "" {
		return old
	}
	return c.secrets[token]
}

// File returns the file with the secret that the owner of a token uses.
func (c *Cast) File(token string) string { return filepath.Join(c.dir, token) }

// Of returns the token of a client of the traffic, of an administrator, which come after these,
// or of who asks servers how they are, with a number below 0.
func (c *Cast) Of(config *traffic.Config, client int) string {
	switch {
	case client >= config.Clients():
		return Administrator
	case client >= 0 && client < config.Subscribers:
		return Subscriber
	}
	return Writer
}

// use makes a secret the one that the owner of a token uses.
func (c *Cast) use(token, secret string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.former[token], c.secrets[token] = c.secrets[token], secret
	return c.save(token, secret)
}

// save replaces the file of a token, if there are files.
func (c *Cast) save(token, secret string) error {
	if c.dir == "" {
		return nil
	}
	fresh := c.File(token) + ".new"
	if err := os.WriteFile(fresh, []byte(secret+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, c.File(token))
}

// grants returns the document of all grants. The caller holds mu, or nobody else has c.
func (c *Cast) grants() *govern.Grants {
	g := &govern.Grants{Scope: govern.NamespaceScope(namespace)}
	for _, name := range slices.Sorted(maps.Keys(c.granted)) {
		if role := c.granted[name]; role != "" {
			g.Grants = append(g.Grants, govern.Grant{Subject: "token:" + name, Role: role})
		}
	}
	return g
}

func tokenOf(name string, secrets ...string) *govern.Token {
	t := &govern.Token{Name: name}
	for _, s := range secrets {
		t.Secrets = append(t.Secrets, govern.Secret{SHA256: govern.HashTokenSecret(s)})
	}
	return t
}

func setOf(documents ...govern.Document) (set diamond.ChangeSet, err error) {
	for _, d := range documents {
		content, err := govern.Encode(d)
		if err != nil {
			return set, err
		}
		set.Drafts = append(set.Drafts, diamond.Draft{Key: d.Key(), Content: content})
	}
	return set, nil
}
