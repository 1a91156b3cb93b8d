//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
)

const (
	rightsTokens = 100
	rightsTeams  = 9 // namespaces beside public; each token has one grant on each of the ten
)

// governed is a server of ours with rights: 100 tokens with 1,000 grants.
type governed struct {
	centre  *govern.Centre
	admin   diamond.Server
	secrets []string
}

// revoked is what one change of rights cost.
type revoked struct {
	Took      time.Duration // from before the commit to the last poll that was decided about again
	Redecided int
}

// governedRole is serverRole with rights.
func governedRole([]string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	storage := &countedStorage{Storage: memstore.New()}
	if _, err := govern.SetUp(ctx, storage, govern.SetUpOptions{}); err != nil {
		return err
	}
	srv, err := diamond.NewServer(storage)
	if err != nil {
		return err
	}
	g := &governed{}
	// Unknown tokens are not limited, so that a flood of them is measured.
	if g.centre, err = govern.New(srv, govern.WithUnknownProofs(1_000_000)); err != nil {
		return err
	}
	g.admin = g.centre.As("token:" + govern.SetupToken)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- server.NewNode(g.centre, server.WithListener(listener)).Run(ctx) }()
	if err := errors.Join(ready(g.centre, 10*time.Second), g.people(ctx)); err != nil {
		return err
	}
	err = obey(listener.Addr().String(), map[string]func(command) (any, error){
		"publish": func(c command) (any, error) { return publish(ctx, g.admin, c.Key, string(c.Data)) },
		"collect": func(command) (any, error) { return nil, collect() },
		"waiting": func(command) (any, error) { return g.centre.Status().Waiters, nil },
		"counts":  func(command) (any, error) { return storage.counts(g.centre), nil },
		"secrets": func(command) (any, error) { return g.secrets, nil },
		"revoke":  func(c command) (any, error) { return g.revoke(ctx, c.N, c.Entries, c.For) },
	})
	stop()
	return errors.Join(err, <-failed, storage.Close())
}

// people makes the tokens, the namespaces and the grants.
func (g *governed) people(ctx context.Context) error {
	documents := []govern.Document{g.grants(conf.DefaultNamespace, -1)}
	for i := range rightsTokens {
		g.secrets = append(g.secrets, govern.NewTokenSecret())
		documents = append(documents, &govern.Token{Name: tokenName(i), Secrets: []govern.Secret{{SHA256: govern.HashTokenSecret(g.secrets[i])}}})
	}
	for i := range rightsTeams {
		tenant := fmt.Sprintf("team-%d", i)
		n := &govern.Namespace{ID: tenant + ".daily", Tenant: tenant, Environment: "daily"}
		documents = append(documents, &govern.Tenant{Name: tenant, Environments: govern.DefaultEnvironments()}, n, g.grants(n.ID, -1))
	}
	return g.write(ctx, documents...)
}

// grants returns the grants on a namespace: each token may read it, but one.
func (g *governed) grants(namespace string, but int) *govern.Grants {
	grants := &govern.Grants{Scope: govern.NamespaceScope(namespace)}
	for i := range rightsTokens {
		if i != but {
			grants.Grants = append(grants.Grants, govern.Grant{Subject: "token:" + tokenName(i), Role: govern.RoleReader})
		}
	}
	return grants
}

func tokenName(number int) string { return fmt.Sprintf("service-%d", number) }

func (g *governed) write(ctx context.Context, documents ...govern.Document) error {
	var set diamond.ChangeSet
	for _, d := range documents {
		content, err := govern.Encode(d)
		if err != nil {
			return err
		}
		set.Drafts = append(set.Drafts, diamond.Draft{Key: d.Key(), Content: content})
	}
	_, err := g.admin.Commit(ctx, &conf.CommitRequest{Set: set})
	return err
}

// revoke takes one token's right to read, gives it back to the one before, and waits until the
// given number of polls have been decided about again. It waits on for a while, in which there
// may be no more.
func (g *governed) revoke(ctx context.Context, token, polls int, rest time.Duration) (r revoked, err error) {
	before := g.centre.Stats().Redecided
	began := time.Now()
	if err := g.write(ctx, g.grants(conf.DefaultNamespace, token)); err != nil {
		return r, err
	}
	for r.Redecided < polls {
		time.Sleep(100 * time.Microsecond) // leaves the processors to the polls
		if r.Redecided = int(g.centre.Stats().Redecided - before); time.Since(began) > patience {
			return r, fmt.Errorf("%d of %d polls were decided about again", r.Redecided, polls)
		}
	}
	r.Took = time.Since(began)
	time.Sleep(rest)
	r.Redecided = int(g.centre.Stats().Redecided - before)
	return r, nil
}
