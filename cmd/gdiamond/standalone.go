package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
)

func newStandalone() *cobra.Command {
	var s serving
	cmd := &cobra.Command{
		Use:   "standalone",
		Short: "Run a name server and a server on the embedded store in one process",
		Args:  arguments(0, 0, "no arguments"),
	}
	access := accessFlags(cmd)
	serverDoor := newDoor(cmd, "listen", server.DefaultAddress, "the server", access)
	namesrvDoor := newDoor(cmd, "namesrv-listen", defaultNamesrv, "the name server", access)
	s.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return s.standalone(cmd, serverDoor, namesrvDoor)
	}
	return cmd
}

func (s *serving) standalone(cmd *cobra.Command, serverDoor, namesrvDoor *door) error {
	for _, d := range []*door{serverDoor, namesrvDoor} {
		if err := d.check(d.insecure); err != nil {
			return err
		}
	}
	if err := s.check(); err != nil {
		return err
	}
	serverListener, err := serverDoor.listen(cmd.Context())
	if err != nil {
		return err
	}
	defer serverListener.Close()
	namesrvListener, err := namesrvDoor.listen(cmd.Context())
	if err != nil {
		return err
	}
	defer namesrvListener.Close()

	logger := s.log.logger(cmd.ErrOrStderr())
	registry, err := namesrv.NewClient([]string{"http://" + loopbackOf(namesrvListener.Addr())}, namesrv.WithLogger(logger))
	if err != nil {
		return err
	}
	s.open = func() (*backend, error) { return embedded(s.data, s.retention, logger, s.limits.server()) }
	// The server stops before the name server, so that it can return its lease.
	namesrvCtx, stopNamesrv := context.WithCancel(context.WithoutCancel(cmd.Context()))
	group, ctx := errgroup.WithContext(cmd.Context())
	group.Go(func() error {
		return runNamesrv(namesrvCtx, namesrvListener, namesrvDoor.access, cluster.Secret{}, logger)
	})
	group.Go(func() error {
		defer stopNamesrv()
		return s.run(ctx, serverListener, serverDoor.access, registry, logger, func() {
			greet(cmd.OutOrStdout(), serverListener.Addr().String(), namesrvListener.Addr().String(), s.data)
		})
	})
	return group.Wait()
}

// greet prints the addresses and commands to try.
func greet(w io.Writer, server, namesrv, data string) {
	if abs, err := filepath.Abs(data); err == nil {
		data = abs
	}
	fmt.Fprintf(w, `name server  http://%[2]s
server       http://%[1]s
data         %[3]s

Try:
  curl -X POST "http://%[1]s/diamond-server/publishConfig?dataId=linna&group=DEFAULT_GROUP&content=helloWorld"
  curl "http://%[1]s/diamond-server/config?dataId=linna&group=DEFAULT_GROUP"
  curl http://%[2]s/namesrv/addrs
`, server, namesrv, data)
}
