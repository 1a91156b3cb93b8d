package httpserve

import (
	"context"
	"net/http"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/transport"
)

// identified is the context of a request whose sender has proven a name. It carries the
// caller. It is a type of its own, so that only a context that was made here is believed.
type identified struct{ context.Context }

// identify returns r with the caller that it proves. A request of an anonymous caller is
// returned as it is. From then on the memory of the body counts for the principal.
func (h *Handler) identify(r *http.Request, body *Body) (*http.Request, error) {
	if h.Identify == nil {
		return r, nil
	}
	principal, err := h.Identify(r)
	if err != nil {
		if code, _ := transport.Encode(err); code == transport.CodeInternal {
			// It is of a function that the caller of this module wrote, and may hold the secret.
			err = conf.Errorf(conf.ErrUnauthenticated, "the proof of identity is not valid")
		}
		return r, err
	}
	if principal == (conf.Principal{}) {
		return r, nil
	}
	if body != nil {
		body.memory.source = budget.SourceOf(principal.Name, r.RemoteAddr)
	}
	caller := conf.Caller{Principal: principal, Address: r.RemoteAddr}
	ctx := conf.WithCaller(r.Context(), caller)
	if until := CertificateExpiry(r); !until.IsZero() {
		ctx = conf.WithProvenUntil(ctx, until)
	}
	return r.WithContext(identified{ctx}), nil
}

// Caller returns the context of a request to the server. It carries the caller: the peer's
// address, and the principal that the peer has proven to be, if any. No header but the
// proof influences it.
func Caller(r *http.Request) context.Context {
	if ctx, ok := r.Context().(identified); ok {
		return ctx.Context
	}
	return conf.WithCaller(r.Context(), conf.Caller{Address: r.RemoteAddr})
}

// source returns whose part of a budget a request takes.
func source(r *http.Request) string {
	if ctx, ok := r.Context().(identified); ok {
		caller := conf.CallerFrom(ctx)
		return budget.SourceOf(caller.Principal.Name, caller.Address)
	}
	return budget.Source(r.RemoteAddr)
}
