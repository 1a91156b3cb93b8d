package govern

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

const (
	// SetupToken is the name of the token that the set-up of a store mints.
	SetupToken = "setup"
	// SetupTokenLife is the time for which it is valid.
	SetupTokenLife = 24 * time.Hour

	setUpBatch = 900 // namespaces in one commit
	setUpTries = 10
)

// OriginSetUp and OriginOffline are the origins of changes that a set-up and an offline
// command make.
const (
	OriginSetUp   = "setup"
	OriginOffline = "offline"
)

// SetUpOptions say how a store becomes governed.
type SetUpOptions struct {
	// Mode is [ModeClosed], which "" stands for, or [ModeObserve].
	Mode string
	// Token is the secret of the setup token; see [CheckTokenSecret]. If it is empty, the
	// set-up makes one.
	Token string
	// By names the process in the marker, so that the others can say who has the token. It
	// has at most 1024 bytes of UTF-8 without control characters.
	By string
}

// SetUpResult is the outcome of a [SetUp].
type SetUpResult struct {
	// Marker is that of the store, which may be one of an earlier set-up, or of another
	// process's.
	Marker Marker
	// Minted says that this call has set the store up. The other fields are zero otherwise.
	Minted     bool
	Token      string    // the secret of the token "setup", whose only other copy is a hash
	Expires    time.Time // of that secret
	Namespaces int       // that were registered
}

// SetUp makes a store governed: from then on what is not granted is denied, by all servers
// on the store that have a Centre, and servers without one do not serve it. It writes the
// marker, a secret of the store, the built-in roles, a document for each namespace that has
// keys, and the token [SetupToken], which administers everything and is valid for
// [SetupTokenLife]. All of this is one commit that succeeds only once in the life of a
// store; of a store with more than 900 namespaces, most are registered in commits before.
//
// Any number of processes may call it at once. One sets the store up, and the others, as all
// later calls, return with its Marker. SetUp commits to the storage, past the servers, which
// need not run. Those that run see it as they see a commit of another server.
//
// Errors wrap ErrInvalid for options that are invalid, and are otherwise those of
// [diamond.Storage]. After one that wraps ErrUnknownOutcome, call again with the same Token.
func SetUp(ctx context.Context, store diamond.Storage, o SetUpOptions) (SetUpResult, error) {
	plan, err := o.plan(time.Now())
	if err != nil {
		return SetUpResult{}, err
	}
	for range setUpTries {
		err = plan.try(ctx, store)
		if err == nil && plan.found != nil {
			return plan.finish(ctx, store)
		}
		// Another process may have been faster, or this one's commit may be there after all.
		if err != nil && !errors.Is(err, conf.ErrConflict) && !errors.Is(err, conf.ErrUnknownOutcome) {
			return SetUpResult{}, err
		}
	}
	return SetUpResult{}, fmt.Errorf("set-up: %w", err)
}

// setUp is one call of SetUp.
type setUp struct {
	marker  *Marker
	token   string
	expires time.Time
	count   int     // of the namespaces that it registered
	found   *Marker // of the store, once it is governed
	made    bool    // by this set-up
}

func (o *SetUpOptions) plan(now time.Time) (*setUp, error) {
	s := &setUp{marker: &Marker{Mode: o.Mode, Created: now.UTC(), By: o.By}, token: o.Token, expires: now.Add(SetupTokenLife).UTC().Truncate(time.Second)}
	if s.marker.Mode == "" {
		s.marker.Mode = ModeClosed
	}
	if s.token == "" {
		s.token = NewTokenSecret()
	}
	if err := CheckTokenSecret(s.token); err != nil {
		return nil, err
	}
	return s, Validate(s.marker)
}

// try looks for the marker, and commits everything if there is none. It leaves found nil
// after a commit, so that the next try reads what the store has now.
func (s *setUp) try(ctx context.Context, store diamond.Storage) error {
	have, err := readDocument(ctx, store, &Marker{})
	if err != nil {
		return err
	}
	if have.revision > 0 {
		s.found = have.doc
		s.made, err = s.isOurs(ctx, store, have)
		return err
	}
	now, err := takeSurvey(ctx, store)
	if err != nil {
		return err
	}
	missing := now.missing()
	for len(missing) > setUpBatch {
		if err := s.register(ctx, store, missing[:setUpBatch], conf.Check{Key: s.marker.Key()}); err != nil {
			return err
		}
		missing = missing[setUpBatch:]
	}
	documents, err := s.documents(missing, now.position.Epoch.Generation)
	if err != nil {
		return err
	}
	set := conf.ChangeSet{Drafts: documents, Comment: "the store becomes governed", Origin: OriginSetUp}
	if _, err := commitDirectly(ctx, store, set); err != nil {
		return err
	}
	s.count += len(missing)
	return nil
}

// isOurs reports whether this set-up has made the marker, or an earlier call with the same
// token in a process of the same name, whose answer was lost.
func (s *setUp) isOurs(ctx context.Context, store diamond.Storage, have stored[*Marker]) (bool, error) {
	if have.doc.By != s.marker.By {
		return false, nil
	}
	token, err := readDocument(ctx, store, &Token{Name: SetupToken})
	if err != nil || token.revision == 0 {
		return false, err
	}
	hash := HashTokenSecret(s.token)
	for _, secret := range token.doc.Secrets {
		if secret.SHA256 == hash && secret.Added.Equal(have.doc.Created.Truncate(time.Second)) {
			s.expires = secret.Expires
			return true, nil
		}
	}
	return false, nil
}

// documents returns what one commit writes: all but the namespaces beyond the first 900.
func (s *setUp) documents(namespaces []string, generation int64) ([]conf.Draft, error) {
	secret := &StoreSecret{Positions: make([]byte, 32)}
	_, _ = rand.Read(secret.Positions) // it never fails
	token := &Token{
		Name: SetupToken, Description: "administers everything until others do; made at set-up",
		Secrets:    []Secret{{SHA256: HashTokenSecret(s.token), Expires: s.expires, Added: s.marker.Created.Truncate(time.Second)}},
		Generation: generation,
	}
	all := []Document{
		s.marker, secret, &Credentials{Generation: generation}, token,
		&Grants{Scope: AllScope(), Grants: []Grant{{Subject: token.Principal(), Role: RoleAdministrator}}},
	}
	for _, role := range BuiltInRoles() {
		all = append(all, role)
	}
	for _, id := range namespaces {
		all = append(all, &Namespace{ID: id})
	}
	return newDrafts(all)
}

// register registers namespaces of before, in one commit.
func (s *setUp) register(ctx context.Context, store diamond.Storage, ids []string, checks ...conf.Check) error {
	all := make([]Document, len(ids))
	for i, id := range ids {
		all[i] = &Namespace{ID: id}
	}
	drafts, err := newDrafts(all)
	if err != nil {
		return err
	}
	_, err = commitDirectly(ctx, store, conf.ChangeSet{Drafts: drafts, Checks: checks, Comment: "namespaces of before the store is governed", Origin: OriginSetUp})
	if err == nil {
		s.count += len(ids)
	}
	return err
}

// finish registers the namespaces that got their first key after the survey and before the
// marker, if this process set the store up, and returns the outcome.
func (s *setUp) finish(ctx context.Context, store diamond.Storage) (SetUpResult, error) {
	result := SetUpResult{Marker: *s.found}
	if !s.made {
		return result, nil
	}
	var err error
	for range setUpTries {
		// After a conflict, an administrator registered one first. The others still miss theirs.
		if err = s.registerMissing(ctx, store); !errors.Is(err, conf.ErrConflict) {
			break
		}
	}
	result.Minted, result.Token, result.Expires, result.Namespaces = true, s.token, s.expires, s.count
	return result, err // with the token: nobody else has it
}

// registerMissing registers the namespaces that have keys and no document.
func (s *setUp) registerMissing(ctx context.Context, store diamond.Storage) error {
	now, err := takeSurvey(ctx, store)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(now.missing(), setUpBatch) {
		if err := s.register(ctx, store, batch); err != nil {
			return err
		}
	}
	return nil
}

// newDrafts returns drafts that create documents.
func newDrafts(all []Document) ([]conf.Draft, error) {
	drafts := make([]conf.Draft, len(all))
	for i, doc := range all {
		var err error
		if drafts[i], err = Draft(doc, 0); err != nil {
			return nil, err
		}
	}
	return drafts, nil
}
