package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/namesrv"
)

// membership is how a server belongs to a cluster: its flags.
type membership struct {
	namesrvs   []string
	secretFile *string
}

func (m *membership) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&m.namesrvs, "namesrv", nil, "name servers to register with, `URL[,...]`")
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
