package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/govern/admin"
)

// soon is the time before the end of a secret from which a list says so. It is that of the
// alert about secrets that expire.
const soon = 7 * 24 * time.Hour

// census has the documents of some kinds that the caller may read, and says what lists have to
// say about what they name: that it is retired, suspended or about to expire.
type census struct {
	all        []admin.Stored
	documents  map[conf.Key]govern.Document
	now        time.Time
	generation int64 // of the present epoch of the store
	confirmed  int64 // the generation up to which tokens are confirmed
	unsure     bool  // the caller may not read what is confirmed
}

// census reads all documents of kinds that the caller may read.
func (s *steward) census(ctx context.Context, kinds ...string) (*census, error) {
	ctx, client, done, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	c := &census{documents: map[conf.Key]govern.Document{}, now: time.Now()}
	tokens := false
	for _, kind := range kinds {
		tokens = tokens || kind == govern.KindToken
		for stored, err := range admin.List(ctx, client, kind) {
			if err != nil {
				return nil, err
			}
			c.all = append(c.all, stored)
			c.documents[stored.Document.Key()] = stored.Document
		}
	}
	if !tokens {
		return c, nil
	}
	head, err := client.Head(ctx)
	if err != nil {
		return nil, err
	}
	c.generation = head.Epoch.Generation
	credentials, _, err := admin.Read(ctx, client, &govern.Credentials{})
	switch {
	case err == nil:
		c.confirmed = credentials.Generation
	case errors.Is(err, diamond.ErrDenied):
		c.unsure = true
	case !errors.Is(err, diamond.ErrNotFound):
		return nil, err
	}
	return c, nil
}

// of returns the documents of a kind.
func (c *census) of(kind string) (all []admin.Stored) {
	for _, stored := range c.all {
		if stored.Document.Key().Group == kind {
			all = append(all, stored)
		}
	}
	return all
}

// state says what is unusual about what a document is of, or returns "".
func (c *census) state(doc govern.Document) string {
	if s := ended(doc); s != "" {
		return s
	}
	switch doc := doc.(type) {
	case *govern.Token:
		return c.tokenState(doc)
	case *govern.Team:
		retired := 0
		for _, m := range doc.Members {
			if c.subject(m) == "retired" {
				retired++
			}
		}
		if retired > 0 {
			return fmt.Sprintf("members retired: %d", retired)
		}
	}
	return ""
}

func (c *census) tokenState(t *govern.Token) string {
	last, forever := lastExpiry(t.Secrets)
	switch {
	case t.Generation < c.generation && c.unsure:
		return "suspended, unless confirmed"
	case t.Generation < c.generation && c.confirmed < c.generation:
		return "suspended"
	case len(t.Secrets) == 0:
		return "no secret"
	case forever:
	case !last.After(c.now):
		return "expired"
	case last.Before(c.now.Add(soon)):
		return "expires soon"
	}
	return ""
}

// lastExpiry returns when the last of secrets expires, or that one never does.
func lastExpiry(secrets []govern.Secret) (last time.Time, forever bool) {
	for _, s := range secrets {
		if s.Expires.IsZero() {
			return time.Time{}, true
		}
		if s.Expires.After(last) {
			last = s.Expires
		}
	}
	return last, false
}

// subject returns the state of a subject whose document is known, or "".
func (c *census) subject(name string) string {
	s, err := govern.ParseSubject(name)
	if err != nil {
		return ""
	}
	doc := c.documents[govern.KeyOf(string(s.Kind), s.Name)]
	if doc == nil {
		return ""
	}
	return c.state(doc)
}

// absent reports that a subject needs a document and has none. Only who administers everything
// sees all documents, and so those grants that there always are.
func (c *census) absent(name string) bool {
	s, err := govern.ParseSubject(name)
	switch everything := c.documents[govern.KeyOf(govern.KindGrants, govern.AllScope().String())] != nil; {
	case err != nil || !everything:
		return false
	case s.Kind == govern.SubjectUser, s.Kind == govern.SubjectToken, s.Kind == govern.SubjectTeam:
		return c.documents[govern.KeyOf(string(s.Kind), s.Name)] == nil
	}
	return false
}

// grant says why a grant gives nothing, or not for long, or returns "".
func (c *census) grant(scope govern.Scope, grant *govern.Grant) string {
	var says []string
	switch state := c.subject(grant.Subject); {
	case state != "" && !strings.HasPrefix(state, "members"):
		says = append(says, "subject "+state)
	case c.absent(grant.Subject):
		says = append(says, "no such subject")
	}
	key := govern.KeyOf(govern.KindTenant, scope.Tenant)
	if scope.Namespace != "" {
		key = govern.KeyOf(govern.KindNamespace, scope.Namespace)
	}
	if doc := c.documents[key]; doc != nil && ended(doc) != "" {
		says = append(says, key.Group+" "+ended(doc))
	}
	return strings.Join(says, ", ")
}
