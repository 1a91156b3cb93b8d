package main

import (
	"errors"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// What all addresses may take together, unless one may take half of more.
const (
	allRequests = 200_000
	allMemory   = 384 // MiB
	allKeys     = 4 << 20
)

// limits are what a server lets one address take: its flags. Behind a proxy all
// clients have one address.
type limits struct {
	requests int   // under way, polls that wait included
	memory   int64 // MiB of bodies and answers under way
	keys     int64 // in the key sets that are polled
}

func (l *limits) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&l.requests, "address-requests", 10_000, "let one address have `N` requests under way, polls that wait included; more where all come through a proxy")
	f.Int64Var(&l.memory, "address-memory", 48, "let the bodies and answers of one address take `MIB` at a time; at least 48 for the largest change sets")
	f.Int64Var(&l.keys, "address-keys", 128<<10, "let the key sets that one address polls have `N` keys together")
}

// check refuses what would let nobody in.
func (l *limits) check() error {
	switch {
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
		httptransport.WithRequestLimits(max(allRequests, 2*l.requests), l.requests),
		httptransport.WithMemoryBudget(max(allMemory, 2*l.memory)<<20, l.memory<<20),
	}
}

// server returns those of the server itself.
func (l *limits) server() diamond.ServerOption {
	return diamond.WithSetKeys(max(allKeys, 2*l.keys), l.keys)
}
