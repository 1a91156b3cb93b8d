package govern

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// ResetOptions are the options of [ResetToken].
type ResetOptions struct {
	Token string // the secret; see [CheckTokenSecret]. If it is empty, ResetToken makes one.
	By    string // names the process in the comment of the change; "" for none
}

// ResetResult is the outcome of [ResetToken].
type ResetResult struct {
	Name    string // of the token, without its kind
	Token   string // its secret, whose only other copy is a hash
	Expires time.Time
}

// ResetToken mints a new setup token for a governed store whose administrators have lost
// theirs. The token administers everything and is valid for [SetupTokenLife]. It is named
// [SetupToken], or setup-2 and so on once that is retired, and has no other secret. ResetToken
// commits to the storage, past all servers and rights: whoever can write the storage may do
// so. The change log shows it, with [OriginOffline].
//
// Errors wrap ErrInvalid if the store is not governed, and are otherwise those of
// [diamond.Storage]. After one that wraps ErrUnknownOutcome the token may be valid: call again.
func ResetToken(ctx context.Context, store diamond.Storage, o ResetOptions) (ResetResult, error) {
	if o.Token == "" {
		o.Token = NewTokenSecret()
	}
	if err := CheckTokenSecret(o.Token); err != nil {
		return ResetResult{}, err
	}
	var result ResetResult
	err := untilAlone(func() (err error) {
		result, err = tryReset(ctx, store, o)
		return err
	})
	return result, err
}

// untilAlone calls try until it meets no commit of another process.
func untilAlone(try func() error) (err error) {
	for range setUpTries {
		if err = try(); !errors.Is(err, conf.ErrConflict) {
			return err
		}
	}
	return err
}

func tryReset(ctx context.Context, store diamond.Storage, o ResetOptions) (ResetResult, error) {
	marker, generation, err := governedMarker(ctx, store)
	if err != nil {
		return ResetResult{}, err
	}
	token, err := unretired(ctx, store)
	if err != nil {
		return ResetResult{}, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	expires := now.Add(SetupTokenLife)
	token.doc.Description = "administers everything; minted by an offline command"
	token.doc.Secrets = []Secret{{SHA256: HashTokenSecret(o.Token), Expires: expires, Added: now}}
	token.doc.Addresses, token.doc.Generation = nil, generation

	grants, err := readDocument(ctx, store, &Grants{Scope: AllScope()})
	if err != nil {
		return ResetResult{}, err
	}
	mine := Grant{Subject: token.doc.Principal(), Role: RoleAdministrator}
	if !slices.ContainsFunc(grants.doc.Grants, func(g Grant) bool { return g.Subject == mine.Subject && g.Role == mine.Role }) {
		grants.doc.Grants = append(grants.doc.Grants, mine)
	}
	role, err := readDocument(ctx, store, &Role{Name: RoleAdministrator})
	if err != nil {
		return ResetResult{}, err
	}
	role.doc.Verbs = Verbs()

	set := conf.ChangeSet{
		Checks:  []conf.Check{{Key: marker.doc.Key(), Revision: marker.revision}},
		Comment: "a new setup token" + by(o.By), Origin: OriginOffline,
	}
	for _, d := range []stored[Document]{{token.doc, token.revision}, {grants.doc, grants.revision}, {role.doc, role.revision}} {
		one, err := Draft(d.doc, d.revision)
		if err != nil {
			return ResetResult{}, err
		}
		set.Drafts = append(set.Drafts, one)
	}
	if _, err := commitDirectly(ctx, store, set); err != nil {
		return ResetResult{}, err
	}
	return ResetResult{token.doc.Name, o.Token, expires}, nil
}

// unretired returns the first of the setup tokens that is not retired, which may not exist.
func unretired(ctx context.Context, store diamond.Storage) (stored[*Token], error) {
	name := SetupToken
	for n := 2; ; n++ {
		token, err := readDocument(ctx, store, &Token{Name: name})
		if err != nil || !token.doc.Retired {
			return token, err
		}
		name = fmt.Sprintf("%s-%d", SetupToken, n)
	}
}

// governedMarker returns the marker of a governed store and the generation of its epoch.
func governedMarker(ctx context.Context, store diamond.Storage) (stored[*Marker], int64, error) {
	marker, err := readDocument(ctx, store, &Marker{})
	if err != nil {
		return marker, 0, err
	}
	if marker.revision == 0 {
		return marker, 0, conf.Invalidf("the store is not governed: it has no rights and no tokens")
	}
	page, err := store.Scan(ctx, conf.ScanRequest{Namespace: SystemNamespace, Limit: 1})
	return marker, page.Position.Epoch.Generation, err
}

// by names who does something, for a comment.
func by(name string) string {
	if name == "" {
		return ""
	}
	return ", by " + name
}

// KeepCredentials confirms the credentials that a store had before a restore or a fork. They
// are suspended until then, because some of them may have been revoked after the backup that
// was restored: KeepCredentials makes those valid again, too. It returns the generation of
// the present epoch, and whether anything was to be confirmed. It commits to the storage,
// past all servers and rights, with [OriginOffline]. By names the process in the comment of
// the change. Errors are as those of [ResetToken].
func KeepCredentials(ctx context.Context, store diamond.Storage, who string) (generation int64, changed bool, err error) {
	err = untilAlone(func() error {
		generation, changed, err = tryKeep(ctx, store, who)
		return err
	})
	return generation, changed, err
}

func tryKeep(ctx context.Context, store diamond.Storage, who string) (generation int64, changed bool, err error) {
	marker, generation, err := governedMarker(ctx, store)
	if err != nil {
		return 0, false, err
	}
	have, err := readDocument(ctx, store, &Credentials{})
	if err != nil || have.revision > 0 && have.doc.Generation >= generation {
		return generation, false, err
	}
	have.doc.Generation = generation
	one, err := Draft(have.doc, have.revision)
	if err != nil {
		return generation, false, err
	}
	_, err = commitDirectly(ctx, store, conf.ChangeSet{
		Drafts: []conf.Draft{one}, Checks: []conf.Check{{Key: marker.doc.Key(), Revision: marker.revision}},
		Comment: "credentials of before the restore are kept" + by(who), Origin: OriginOffline,
	})
	return generation, err == nil, err
}
