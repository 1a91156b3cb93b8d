package httptransport

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// WhoAmI asks the server who it takes the caller for. ErrUnauthenticated: the proof that the
// transport sends is not valid. A server of before there were rights answers ErrInvalid.
func (t *Transport) WhoAmI(ctx context.Context) (conf.Identity, error) {
	var body identityBody
	if err := t.ask(ctx, "whoami", pathWhoAmI, url.Values{}, &body); err != nil {
		return conf.Identity{}, err
	}
	who := conf.Identity{Principal: body.Principal, Mode: body.Mode, Teams: body.Teams}
	who.Expires, _ = time.Parse(time.RFC3339, body.Expires) // zero if it does not end
	return who, nil
}

// Can asks the server whether a principal has a right; see [conf.CanRequest].
// ErrInvalid: the verb, the scope or the principal is not of the form that it must have.
// ErrDenied: the caller may not ask about that principal.
func (t *Transport) Can(ctx context.Context, req conf.CanRequest) (conf.CanResponse, error) {
	q := url.Values{}
	set(q, "verb", req.Verb)
	set(q, "scope", req.Scope)
	set(q, "as", req.As)
	var body canBody
	if err := t.ask(ctx, "can", pathCan, q, &body); err != nil {
		return conf.CanResponse{}, err
	}
	return conf.CanResponse{Allowed: body.Allowed, Why: body.Why}, nil
}

// ask gets a JSON answer.
func (t *Transport) ask(ctx context.Context, op, path string, q url.Values, to any) error {
	return t.do(ctx, &request{op: op, method: http.MethodGet, path: path, query: q}, func(res *http.Response) error {
		raw, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
		if err == nil && json.Unmarshal(raw, to) != nil {
			err = conf.Errorf(conf.ErrInvalid, "is not the JSON that was asked for")
		}
		return err
	})
}
