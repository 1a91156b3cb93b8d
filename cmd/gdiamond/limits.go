package main

import (
	"errors"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

const mebibyte = 1 << 20

// limits are what a server lets one address take: its flags. Behind a proxy all
// clients have one address.
type limits struct {
	connections int
	requests    int   // under way, polls that wait included
	memory      int64 // MiB of bodies and answers under way
	keys        int64 // in the key sets that are polled
}

func (l *limits) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&l.connections, "address-connections", server.DefaultAddressConnections, "let one address have `N` connections, and never more than half of the files that the process may open")
	f.IntVar(&l.requests, "address-requests", httptransport.DefaultAddressRequests, "let one address have `N` requests under way, polls that wait included; more where all come through a proxy")
	f.Int64Var(&l.memory, "address-memory", httptransport.DefaultAddressMemory/mebibyte, "let the bodies and answers of one address take `MIB` at a time; at least 48 for the largest change sets")
	f.Int64Var(&l.keys, "address-keys", diamond.DefaultAddressSetKeys, "let the key sets that one address polls have `N` keys together")
}

// check refuses what would let nobody in.
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
	}
	return nil
}

// handler returns the limits of the server's handler. An address never gets more
// than is left for the others, so that all together have twice as much.
func (l *limits) handler() []httptransport.HandlerOption {
	return []httptransport.HandlerOption{
		httptransport.WithRequestLimits(max(httptransport.DefaultRequests, 2*l.requests), l.requests),
		httptransport.WithMemoryBudget(max(httptransport.DefaultMemoryBudget, 2*l.memory*mebibyte), l.memory*mebibyte),
	}
}

// node returns those of the node that hosts the server.
func (l *limits) node() server.Option { return server.WithAddressConnections(l.connections) }

// server returns those of the server itself.
func (l *limits) server() diamond.ServerOption {
	return diamond.WithSetKeys(max(diamond.DefaultSetKeys, 2*l.keys), l.keys)
}
