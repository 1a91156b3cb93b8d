package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/boltstore"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// defaultData is the directory of the embedded store.
const defaultData = "./gdiamond-data"

// serving is what the commands that run a server have in common.
type serving struct {
	log           logging
	data          string
	advertise     string
	shutdownDelay time.Duration
}

func (s *serving) flags(cmd *cobra.Command) {
	s.log.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&s.data, "data", defaultData, "`DIR` of the embedded store")
	f.StringVar(&s.advertise, "advertise", "", "`HOST:PORT` at which clients reach the server (default where it listens)")
	f.DurationVar(&s.shutdownDelay, "shutdown-delay", 0, "how long to serve on when told to stop, for load balancers to notice")
}

func newServer() *cobra.Command {
	var s serving
	var namesrvs []string
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a server on the embedded store",
		Args:  arguments(0, 0, "no arguments"),
	}
	door := newDoor(cmd, "listen", server.DefaultAddress, "the server", accessFlags(cmd))
	s.flags(cmd)
	cmd.Flags().StringSliceVar(&namesrvs, "namesrv", nil, "name servers to register with, `URL[,...]`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := door.check(); err != nil {
			return err
		}
		logger := s.log.logger(cmd.ErrOrStderr())
		var registry server.Registry
		if len(namesrvs) > 0 {
			var err error
			if registry, err = namesrv.NewClient(namesrvs, namesrv.WithLogger(logger)); err != nil {
				return usageError{err}
			}
		}
		ln, err := door.listen(cmd.Context())
		if err != nil {
			return err
		}
		started := func() { fmt.Fprintf(cmd.OutOrStdout(), "server http://%s\ndata %s\n", ln.Addr(), s.data) }
		return s.run(cmd.Context(), ln, door.access, registry, logger, started)
	}
	return cmd
}

// run serves the store on ln until ctx ends. It calls started once nothing can
// keep it from serving any more.
func (s *serving) run(ctx context.Context, ln net.Listener, access *access, registry server.Registry, logger *slog.Logger, started func()) (err error) {
	defer ln.Close()
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() && registry != nil && s.advertise == "" {
		return usageError{fmt.Errorf("advertise: listening on %s names no host that clients could use; give one", ln.Addr())}
	}
	store, err := boltstore.Open(s.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	srv, err := diamond.NewServer(store, diamond.WithLogger(logger))
	if err != nil {
		return err
	}
	defer srv.Close()
	options := []server.Option{
		server.WithListener(ln), server.WithLogger(logger), server.WithShutdownDelay(s.shutdownDelay),
		server.WithTransport(httptransport.WithAllowedHosts(access.hosts...)),
	}
	if registry != nil {
		options = append(options, server.WithRegistry(registry, s.advertise))
	}
	adminCtx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	var admin sync.WaitGroup
	admin.Go(func() { serveAdmin(adminCtx, s.data, store, logger) })
	defer admin.Wait()
	defer stopAdmin()
	started()
	return server.New(srv, options...).Run(ctx)
}
