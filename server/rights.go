package server

import (
	"errors"
	"net/http"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// rights is what a server has beside the methods of a diamond.Server if it decides who may do
// what, as a govern.Centre does.
type rights interface {
	httptransport.Prover
	httptransport.Knower
}

// decides reports whether a server decides about rights, in whole or in part. One that lacks a
// method by which the pages would ask it is not taken for one that everybody may look into.
func decides(srv any) bool {
	switch srv.(type) {
	case httptransport.Prover, httptransport.Knower, Governed:
		return true
	}
	return false
}

// mayLook returns an error unless the sender of r may see pages that tell about the whole
// store: the right to list everything is needed if the server enforces rights. A server that
// has loaded nothing has nothing to tell about anybody, so those who look for the reason need
// no right.
func (n *Node) mayLook(r *http.Request) error {
	server, ok := n.srv.(rights)
	switch {
	case !ok && decides(n.srv):
		return conf.Errorf(conf.ErrDenied, "not permitted: list on all; the server cannot be asked who may")
	case !ok:
		return nil
	}
	ctx := r.Context()
	switch who, err := server.WhoAmI(ctx); {
	case errors.Is(err, conf.ErrUnavailable), err == nil && who.Mode != conf.ModeClosed:
		return nil
	case err != nil:
		return err
	}
	proof, err := httptransport.ReadProof(r)
	if err != nil {
		return err
	}
	caller := conf.Caller{Address: r.RemoteAddr}
	if !proof.Anonymous() {
		if caller.Principal, err = server.Prove(ctx, proof); err != nil {
			return err
		}
	}
	can, err := server.Can(conf.WithCaller(ctx, caller), conf.CanRequest{Verb: "list", Scope: "all"})
	if err == nil && !can.Allowed {
		err = conf.Errorf(conf.ErrDenied, "not permitted: list on all")
	}
	return err
}

// servePage serves page to those who have the right to it. Details that are shown only on
// demand are left out for the others, because probes have no token.
func (n *Node) servePage(w http.ResponseWriter, r *http.Request, page *nodePage) {
	if page.rightFor(r) == httpserve.RightAll {
		if err := n.mayLook(r); err != nil && page.right != httpserve.RightNone {
			writeUnproven(w, err)
			return
		} else if err != nil {
			plain := *r.URL
			plain.RawQuery = ""
			r = r.Clone(r.Context())
			r.URL = &plain
		}
	}
	page.ServeHTTP(w, r)
}
