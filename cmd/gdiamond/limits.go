package main

import (
	"errors"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

const mebibyte = 1 << 20

// limits has the flags for the resources of one address. Behind a proxy all clients
// have the same address.
type limits struct {
	connections int
	requests    int   // in progress, waiting polls included
	memory      int64 // MiB of bodies and answers in progress
	keys        int64 // in the key sets of polls
	proofs      int   // unknown ones a minute
}

func (l *limits) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&l.connections, "address-connections", server.DefaultAddressConnections, "limit each address to `N` connections, and to half of the files that the process may open")
	f.IntVar(&l.requests, "address-requests", httptransport.DefaultAddressRequests, "limit each address to `N` requests in progress, waiting polls included; raise it if all clients come through a proxy")
	f.Int64Var(&l.memory, "address-memory", httptransport.DefaultAddressMemory/mebibyte, "limit the bodies and answers in progress of each address to `MIB`; the largest change sets need 48")
	f.Int64Var(&l.keys, "address-keys", diamond.DefaultAddressSetKeys, "limit the key sets that each address polls to `N` keys together")
	f.IntVar(&l.proofs, "address-proofs", govern.DefaultUnknownProofs, "limit each address to `N` requests a minute with a token that the server does not know; all with a valid token are served")
}

// check refuses limits that would lock everybody out.
func (l *limits) check() error {
	switch {
	case l.connections <= 0:
		return usageError{errors.New("address-connections: give a number above 0")}
	case l.requests <= 0:
		return usageError{errors.New("address-requests: give a number above 0")}
	case l.memory <= 0:
		return usageError{errors.New("address-memory: give a number of MiB above 0")}
	case l.keys <= 0:
		return usageError{errors.New("address-keys: give a number above 0")}
	case l.proofs <= 0:
		return usageError{errors.New("address-proofs: give a number above 0")}
	}
	return nil
}

// handler returns the limits of the server's handler. One address never gets more
// than is left for the others, so the limit for all is at least twice as high.
func (l *limits) handler() []httptransport.HandlerOption {
	return []httptransport.HandlerOption{
		httptransport.WithRequestLimits(max(httptransport.DefaultRequests, 2*l.requests), l.requests),
		httptransport.WithMemoryBudget(max(httptransport.DefaultMemoryBudget, 2*l.memory*mebibyte), l.memory*mebibyte),
	}
}

// node returns the limit of the node that hosts the server.
func (l *limits) node() server.Option { return server.WithAddressConnections(l.connections) }

// server returns the limit of the server itself.
func (l *limits) server() diamond.ServerOption {
	return diamond.WithSetKeys(max(diamond.DefaultSetKeys, 2*l.keys), l.keys)
}

// centre returns the limit of the centre on the server.
func (l *limits) centre() govern.Option { return govern.WithUnknownProofs(l.proofs) }
