package main

import (
	"context"
	"errors"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// unproven is the transport of a command that sends no token. Its denials say so, because
// users who have a profile expect that its token is sent. Poll and Report are not among its
// methods, because no command calls them.
type unproven struct {
	diamond.Transport
	why string // added to the error of what is denied
}

// whyNoToken says to whoever is denied something why the command sent no token.
func (c *connection) whyNoToken() string {
	if len(c.servers)+len(c.namesrvs) > 0 {
		return "; no token was sent: a command that is given servers, by a flag or by " + envName("server") + " or " + envName("namesrv") +
			", uses no profile; give --token-file FILE, or --profile NAME instead of servers"
	}
	return "; no token was sent: `gdiamond login` keeps one, and --token-file FILE names one"
}

// Fetch implements [diamond.Transport].
func (u unproven) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	resp, err := u.Transport.Fetch(ctx, req)
	return resp, u.say(err)
}

// Commit implements [diamond.Transport].
func (u unproven) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	resp, err := u.Transport.Commit(ctx, req)
	return resp, u.say(err)
}

// List implements [diamond.Transport].
func (u unproven) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	resp, err := u.Transport.List(ctx, req)
	return resp, u.say(err)
}

// History implements [diamond.Transport].
func (u unproven) History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	resp, err := u.Transport.History(ctx, req)
	return resp, u.say(err)
}

// Changes implements [diamond.Transport].
func (u unproven) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	resp, err := u.Transport.Changes(ctx, req)
	return resp, u.say(err)
}

// say returns err, and if it is a denial, with the reason why there was no token.
func (u unproven) say(err error) error {
	var e *conf.Error
	if !errors.Is(err, diamond.ErrDenied) || !errors.As(err, &e) {
		return err
	}
	said := *e
	said.Detail += u.why
	return &said
}
