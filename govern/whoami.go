package govern

import (
	"context"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
)

// WhoAmI says who the caller is to the Centre. Everybody may ask.
func (c *Centre) WhoAmI(ctx context.Context) (conf.Identity, error) {
	if err := ctx.Err(); err != nil {
		return conf.Identity{}, engine.AnswerError(ctx, "whoami", conf.Key{}, err)
	}
	a := c.access(ctx)
	if a.mode == "" {
		return conf.Identity{}, engine.AnswerError(ctx, "whoami", conf.Key{}, errNotReady())
	}
	who := conf.Identity{Principal: a.principal, Mode: a.mode}
	for _, team := range a.policy.teams.get(a.principal) {
		if t := document[*Team](a.policy.get(KindTeam, team)); t != nil && !t.Retired {
			who.Teams = append(who.Teams, team)
		}
	}
	if t := a.policy.tokenOf(a.principal); t != nil {
		who.Expires = t.firstExpiry(time.Now())
	}
	return who, nil
}

// Can says whether a principal has a right on the whole of a scope, by the grants, whether or
// not the Centre enforces them. To ask about another principal the caller needs
// VerbAdminister on the scope. Errors wrap ErrInvalid, or ErrDenied.
func (c *Centre) Can(ctx context.Context, req conf.CanRequest) (conf.CanResponse, error) {
	resp, err := c.can(ctx, &req)
	if err != nil {
		return conf.CanResponse{}, engine.AnswerError(ctx, "can", conf.Key{}, err)
	}
	return *resp, nil
}

func (c *Centre) can(ctx context.Context, req *conf.CanRequest) (*conf.CanResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	verb, err := ParseVerb(req.Verb)
	if err != nil {
		return nil, err
	}
	scope, err := ParseScope(req.Scope)
	if err != nil {
		return nil, err
	}
	a := c.access(ctx)
	if a.mode == "" {
		return nil, errNotReady()
	}
	if a.mode == conf.ModeOpen {
		return &conf.CanResponse{Allowed: true, Why: "the store is not governed: everybody may do everything"}, nil
	}
	about := a.principal
	if req.As != "" && req.As != principalName(a.principal) {
		subject, err := ParseSubject(req.As)
		if err != nil {
			return nil, err
		}
		if subject.Kind == SubjectTeam {
			return nil, conf.Invalidf("as: a team is no principal; ask about a member")
		}
		if !a.policy.may(a.principal, VerbAdminister, scope).allowed {
			return nil, conf.Errorf(conf.ErrDenied, "not permitted: administer on %s", scope)
		}
		about = principalOf(req.As)
	}
	d := a.policy.may(about, verb, scope)
	resp := &conf.CanResponse{Allowed: d.allowed}
	switch {
	case d.allowed:
		resp.Why = "by " + a.namesOf(d.checks, about == a.principal)
	case about == a.principal && a.rights == nil:
		resp.Why = principalName(about) + " has no rights"
	default: // whether or not there is such a principal
		resp.Why = "no grant gives " + principalName(about) + " " + verb.String() + " on " + scope.String()
	}
	return resp, nil
}

// namesOf returns how messages call the documents of checks. Unless they are about the
// principal itself, it names only those that the principal may read.
func (a *access) namesOf(checks []conf.Check, own bool) string {
	names := make([]string, 0, len(checks))
	for i := range checks {
		if key := checks[i].Key; own || a.mayDocument(VerbRead, key) {
			names = append(names, nameOf(key))
		}
	}
	if len(names) < len(checks) {
		names = append(names, "documents that you may not read")
	}
	return strings.Join(names, ", ")
}
