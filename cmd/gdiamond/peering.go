package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/tlsfile"
)

// peering has the flags of a separate listener for other servers.
type peering struct {
	address string
	files   tlsfile.Files
}

func (p *peering) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.address, "peer-listen", "",
		"`HOST:PORT` of a separate listener for other servers, with certificates; use the same port on all servers (default none: they use --listen)")
	f.StringVar(&p.files.Cert, "peer-cert", "", "`FILE` with the certificate for --peer-listen and for calling other servers, in PEM")
	f.StringVar(&p.files.Key, "peer-key", "", "`FILE` with the key of --peer-cert, in PEM")
	f.StringVar(&p.files.CA, "peer-ca", "", "`FILE` with the authorities that issue only certificates for servers, in PEM")
}

// given reports whether any of the flags is set.
func (p *peering) given() bool { return *p != peering{} }

// check refuses incomplete flags. The resolver of the peers may be nil.
func (p *peering) check(onDatabase bool, resolver server.Resolver) error {
	for _, f := range []struct{ name, value string }{
		{"peer-listen", p.address}, {"peer-cert", p.files.Cert}, {"peer-key", p.files.Key}, {"peer-ca", p.files.CA},
	} {
		if f.value == "" {
			return usageError{fmt.Errorf("%s: give --peer-listen, --peer-cert, --peer-key and --peer-ca, or none of them", f.name)}
		}
	}
	if _, _, err := net.SplitHostPort(p.address); err != nil {
		return usageError{fmt.Errorf("peer-listen: %w", err)}
	}
	switch {
	case !onDatabase:
		return usageError{errors.New("peer-listen: a server on the embedded store has no peers; give --mysql")}
	case resolver == nil:
		return usageError{errors.New("peer-listen: the other servers are not known; give --namesrv or --peer")}
	}
	return nil
}

// listen opens the listener, and returns it with the options for the server.
func (p *peering) listen(ctx context.Context, logger *slog.Logger) (net.Listener, []server.Option, error) {
	certs, err := cluster.ReadCertificates(p.files, logger)
	if err != nil {
		return nil, nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", p.address)
	if err != nil {
		return nil, nil, fmt.Errorf("peer-listen: %w", err)
	}
	return ln, []server.Option{
		server.WithPeerListener(ln, certs.ServerConfig()),
		server.WithPeerClient(&http.Client{Transport: certs.Transport()}),
	}, nil
}
