package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
)

// defaultNamesrv is the default address of a name server, as in the original diamond.
const defaultNamesrv = "127.0.0.1:8080"

func newNamesrv() *cobra.Command {
	var log logging
	var encrypted encryption
	cmd := &cobra.Command{
		Use:   "namesrv",
		Short: "Run a name server, which keeps the list of servers",
		Args:  arguments(0, 0, "no arguments"),
	}
	door := newDoor(cmd, "listen", defaultNamesrv, "the name server", accessFlags(cmd))
	door.danger, door.remedy = "register a server there, without a --cluster-secret-file", ""
	log.flags(cmd)
	encrypted.flags(cmd)
	secretFile := secretFileFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		secret, err := readSecret(*secretFile)
		if err != nil {
			return err
		}
		// With a secret nobody else can register, and the list is public.
		if err := door.check(door.insecure || !secret.IsZero()); err != nil {
			return err
		}
		if err := encrypted.check(); err != nil {
			return err
		}
		logger := log.logger(cmd.ErrOrStderr())
		certs, err := encrypted.open(logger)
		if err != nil {
			return err
		}
		ln, err := door.listen(cmd.Context())
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "name server %s://%s\n", encrypted.scheme(), ln.Addr())
		if certs != nil {
			ln = tls.NewListener(ln, certs.Config())
		}
		return server.Serve(cmd.Context(), ln, newNameServer(door.access, secret, logger), logger)
	}
	return cmd
}

// newNameServer returns a name server. It accepts registrations from other hosts that know the
// secret or, without a secret, if access is insecure.
func newNameServer(access *access, secret cluster.Secret, logger *slog.Logger) *namesrv.Registry {
	options := []namesrv.RegistryOption{namesrv.WithLogger(logger), namesrv.WithAllowedHosts(access.hosts...)}
	switch {
	case !secret.IsZero():
		options = append(options, namesrv.WithSecret(secret))
	case access.insecure:
		options = append(options, namesrv.WithInsecureRegistration())
	}
	return namesrv.NewRegistry(options...)
}
