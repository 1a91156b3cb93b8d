package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/transport"
)

// membership has the flags by which a server joins a cluster.
type membership struct {
	namesrvs   []string
	peers      []string
	secretFile *string
	ca         string // the authorities of https name servers and servers
}

func (m *membership) flags(cmd *cobra.Command) {
	listVar(cmd.Flags(), &m.namesrvs, "namesrv", checkNameServer, "`URL[,...]` of name servers to register with")
	listVar(cmd.Flags(), &m.peers, "peer", checkPeer, "`HOST:PORT[,...]` of the servers on the same database, if there is no name server")
	m.secretFile = secretFileFlag(cmd)
	cmd.Flags().StringVar(&m.ca, "tls-ca", "", "`FILE` with the authorities of the certificates of name servers and other servers, in PEM (default those of the system)")
}

// checkPeer refuses an invalid address of another server, and one without a port.
func checkPeer(addr string) error {
	if !strings.Contains(addr, "://") {
		_, _, err := net.SplitHostPort(addr)
		return err
	}
	u, err := url.Parse(addr)
	if err == nil && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		err = fmt.Errorf("%q is neither HOST:PORT nor an http URL", addr)
	}
	return err
}

// join returns a client of the name servers, or nil if none are given, and the cluster's
// secret. It uses the given client of HTTP, or the default one if that is nil.
func (m *membership) join(callers *http.Client, logger *slog.Logger) (*namesrv.Client, cluster.Secret, error) {
	secret, err := readSecret(*m.secretFile)
	if err != nil || len(m.namesrvs) == 0 {
		return nil, secret, err
	}
	options := []namesrv.ClientOption{namesrv.WithLogger(logger), namesrv.WithSecret(secret)}
	if callers != nil {
		options = append(options, namesrv.WithHTTPClient(callers))
	}
	names, err := namesrv.NewClient(m.namesrvs, options...)
	if err != nil {
		return nil, secret, usageError{err}
	}
	return names, secret, nil
}

// resolver returns the resolver of the other servers, or nil if there is none.
func (m *membership) resolver(names *namesrv.Client) server.Resolver {
	switch {
	case len(m.peers) > 0:
		return transport.Static(m.peers...)
	case names != nil:
		return names
	}
	return nil
}

func secretFileFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("cluster-secret-file", "", "`FILE` with the secret that all servers and name servers of the cluster share")
}

// readSecret reads the secret in the file at path, or returns none if path is "".
func readSecret(path string) (cluster.Secret, error) {
	if path == "" {
		return cluster.Secret{}, nil
	}
	return cluster.ReadSecret(path)
}
