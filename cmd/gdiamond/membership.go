package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/transport"
)

// membership is how a server belongs to a cluster: its flags.
type membership struct {
	namesrvs   []string
	peers      []string
	secretFile *string
}

func (m *membership) flags(cmd *cobra.Command) {
	listVar(cmd.Flags(), &m.namesrvs, "namesrv", checkNameServer, "name servers to register with, `URL[,...]`")
	listVar(cmd.Flags(), &m.peers, "peer", checkAddress, "the servers on the same database, `HOST:PORT[,...]`, where no name server tells")
	m.secretFile = secretFileFlag(cmd)
}

// join returns a client of the name servers, nil where none is named, and the
// cluster's secret.
func (m *membership) join(logger *slog.Logger) (*namesrv.Client, cluster.Secret, error) {
	secret, err := readSecret(*m.secretFile)
	if err != nil || len(m.namesrvs) == 0 {
		return nil, secret, err
	}
	names, err := namesrv.NewClient(m.namesrvs, namesrv.WithLogger(logger), namesrv.WithSecret(secret))
	if err != nil {
		return nil, secret, usageError{err}
	}
	return names, secret, nil
}

// resolver says who the other servers are; nil: nobody does.
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
	return cmd.Flags().String("cluster-secret-file", "", "`FILE` with the secret that the cluster's servers and name servers share")
}

// readSecret reads the secret in the file at path; none where path is "".
func readSecret(path string) (cluster.Secret, error) {
	if path == "" {
		return cluster.Secret{}, nil
	}
	return cluster.ReadSecret(path)
}
