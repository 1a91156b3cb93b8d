package govern

import (
	"context"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/engine"
)

// Listeners returns a page of the clients that poll a key at this server, for those who may
// read the key. Errors wrap ErrDenied, ErrInvalid or ErrUnavailable.
func (c *Centre) Listeners(ctx context.Context, req *conf.ListenersRequest) (*conf.ListenersResponse, error) {
	key := req.Key.Canonical()
	if _, err := c.mayRead(ctx, claim{}, key); err != nil {
		return nil, engine.AnswerError(ctx, "listeners", key, err)
	}
	return c.door.Listeners(ctx, req)
}

// Clients returns a page of the clients that poll this server, for those who may list
// everything. Those who administer a namespace may ask for the clients that poll keys of it.
// Errors wrap ErrDenied, ErrInvalid or ErrUnavailable.
func (c *Centre) Clients(ctx context.Context, req *conf.ClientsRequest) (*conf.ClientsResponse, error) {
	if err := c.mayListClients(ctx, req.Namespace); err != nil {
		return nil, engine.AnswerError(ctx, "clients", conf.Key{}, err)
	}
	return c.door.Clients(ctx, req)
}

// mayListClients returns an error unless the caller may list the clients that poll keys of a
// namespace, or all clients if it is empty.
func (c *Centre) mayListClients(ctx context.Context, namespace string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var namespaces []string
	err := conf.Errorf(conf.ErrDenied, "not permitted: list on all")
	if namespace != "" {
		namespace = (conf.Key{Namespace: namespace}).Canonical().Namespace
		namespaces = []string{namespace}
		err = conf.Errorf(conf.ErrDenied, "not permitted: administer on the namespace, or list on all")
	}
	a, refusal := c.settled(ctx, claim{}, namespaces, func(a *access) error {
		switch {
		case a.mode == "":
			return errNotReady()
		case a.mayOn(VerbList, AllScope()), namespace != "" && a.mayOn(VerbAdminister, NamespaceScope(namespace)):
			return nil
		case a.mode == conf.ModeObserve && !a.barred:
			a.wouldDeny(VerbList, namespace)
			return nil
		}
		return err
	})
	return c.refused(a, refusal, namespace)
}
