package main

import (
	"context"
	"errors"
	"fmt"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// noRights says that servers are open, in whose answers a store without rights and a server that
// ignores them are the same.
const noRights = "the servers decide by no rights; one that is started with --rights sets them up, and one with --ungoverned ignores them"

// errOpen is the error of a command about rights where there are none.
var errOpen = conf.Errorf(diamond.ErrNotFound, noRights)

// isOpen reports whether the servers decide by no rights, because none are set up.
func (c *connection) isOpen(ctx context.Context) bool {
	who, err := c.whoami(ctx)
	return err == nil && who.Mode == conf.ModeOpen
}

// aboutDocuments returns the error err of a request about a namespace. If that is the one of the
// documents, it adds to a denial who may see them, or says that there are none.
func (c *connection) aboutDocuments(ctx context.Context, namespace string, err error) error {
	switch {
	case namespace != govern.SystemNamespace || !errors.Is(err, diamond.ErrDenied):
		return err
	case c.isOpen(ctx):
		return errOpen
	}
	return fmt.Errorf("%w; a document is shown to those who may administer what it is about", err)
}

// mayWatch returns an error if the caller may not watch a document, or any of them if only is no
// key. It tells those who may not see all of them: a watch of what one may not see is silent.
func (c *connection) mayWatch(ctx context.Context, client diamond.Client, only diamond.Key, tell func(string)) error {
	if only != (diamond.Key{}) {
		if _, err := client.Peek(ctx, only); !errors.Is(err, diamond.ErrNotFound) {
			return err
		}
		return nil
	}
	if c.anonymous { // who is denied all of them
		return nil
	}
	var answer conf.CanResponse
	err := c.ask(ctx, func(ctx context.Context, wire *httptransport.Transport) (err error) {
		answer, err = wire.Can(ctx, conf.CanRequest{Verb: govern.VerbAdminister.String(), Scope: govern.AllScope().String()})
		return err
	})
	if err == nil && !answer.Allowed {
		tell("you do not administer everything: of the documents, only those that you may read are watched")
	}
	return nil // whether the caller may watch at all, the watch says
}
