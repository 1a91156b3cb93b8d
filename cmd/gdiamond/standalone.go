package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/govern"
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
	// With rights other hosts can ask the name server for the list, and not change it.
	if err := s.check(serverDoor, namesrvDoor); err != nil {
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
	names := newNameServer(namesrvDoor.access, cluster.Secret{}, logger)
	registry, err := s.registry(names, namesrvListener.Addr(), logger)
	if err != nil {
		return err
	}
	certs, err := s.tls.open(logger)
	if err != nil {
		return err
	}
	if certs != nil {
		namesrvListener = tls.NewListener(namesrvListener, certs.Config())
	}
	s.open = func() (*backend, error) { return embedded(s.data, s.retention, logger, s.engine()...) }
	// The server stops before the name server, so that it can return its lease.
	namesrvCtx, stopNamesrv := context.WithCancel(context.WithoutCancel(cmd.Context()))
	group, ctx := errgroup.WithContext(cmd.Context())
	group.Go(func() error {
		return server.Serve(namesrvCtx, namesrvListener, names, logger)
	})
	group.Go(func() error {
		defer stopNamesrv()
		return s.run(ctx, serverListener, serverDoor.access, registry, cmd.OutOrStdout(), logger, func(rights string) {
			greet(cmd.OutOrStdout(), s.tls.scheme(), serverListener.Addr().String(), namesrvListener.Addr().String(), s.data, rights)
		})
	})
	return group.Wait()
}

// registry returns what registers the server: a client of the name server or, as the
// certificate need not be valid for the address of the loopback, the name server itself.
func (s *serving) registry(names *namesrv.Registry, addr net.Addr, logger *slog.Logger) (server.Registry, error) {
	if s.tls.given() {
		return names, nil
	}
	return namesrv.NewClient([]string{"http://" + loopbackOf(addr)}, namesrv.WithLogger(logger))
}

// greet prints the addresses, how the rights stand, and commands to try.
func greet(w io.Writer, scheme, server, namesrv, data, rights string) {
	if abs, err := filepath.Abs(data); err == nil {
		data = abs
	}
	fmt.Fprintf(w, `name server  %[5]s://%[2]s
server       %[5]s://%[1]s
data         %[3]s
rights       %[4]s

Try:
`, server, namesrv, data, rights, scheme)
	closed := strings.HasPrefix(rights, govern.ModeClosed)
	if closed || strings.HasPrefix(rights, govern.ModeObserve) {
		token := filepath.Join(data, tokenFileName)
		if _, err := os.Stat(token); err != nil { // another server has made the token, or the operator
			token = "FILE-WITH-YOUR-TOKEN"
		}
		if scheme == "https" {
			server = "https://" + server
		}
		fmt.Fprintf(w, "  gdiamond login --server %s %s\n  gdiamond whoami\n  echo helloWorld | gdiamond publish linna -\n  gdiamond get linna\n", server, token)
	}
	if !closed && scheme == "http" {
		fmt.Fprintf(w, `  curl -X POST "http://%[1]s/diamond-server/publishConfig?dataId=linna&group=DEFAULT_GROUP&content=helloWorld"
  curl "http://%[1]s/diamond-server/config?dataId=linna&group=DEFAULT_GROUP"
`, server)
	}
	if scheme == "http" {
		fmt.Fprintf(w, "  curl http://%s/namesrv/addrs\n", namesrv)
	} else {
		fmt.Fprintf(w, "  curl https://%s/v1/servers\n", namesrv)
	}
}
