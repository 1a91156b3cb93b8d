package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// staleness is a transport that remembers how old its lists may be. A client does not
// return that.
type staleness struct {
	diamond.Transport
	longest atomic.Int64 // a time.Duration
}

// List implements [diamond.Transport].
func (s *staleness) List(ctx context.Context, req *diamond.ListRequest) (*conf.ListResponse, error) {
	resp, err := s.Transport.List(ctx, req)
	for err == nil {
		longest := s.longest.Load()
		if int64(resp.Stale) <= longest || s.longest.CompareAndSwap(longest, int64(resp.Stale)) {
			break
		}
	}
	return resp, err
}

// age returns the longest time since a server had reached its storage when it answered.
func (s *staleness) age() time.Duration { return time.Duration(s.longest.Load()) }

// warnOld warns if the output of a command may be out of date.
func warnOld(cmd *cobra.Command, stale time.Duration) {
	if stale > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "gdiamond: the server has not reached its storage for %s: the output may be out of date\n", shortAge(stale))
	}
}

// shortAge rounds d for people.
func shortAge(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
