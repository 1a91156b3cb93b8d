package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
)

// defaultNamesrv is the default address of a name server, as in the original diamond.
const defaultNamesrv = "127.0.0.1:8080"

func newNamesrv() *cobra.Command {
	var log logging
	cmd := &cobra.Command{
		Use:   "namesrv",
		Short: "Run a name server, which keeps the list of servers",
		Args:  arguments(0, 0, "no arguments"),
	}
	door := newDoor(cmd, "listen", defaultNamesrv, "the name server", accessFlags(cmd))
	door.danger, door.remedy = "register a server there, without a --cluster-secret-file", ""
	log.flags(cmd)
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
		ln, err := door.listen(cmd.Context())
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "name server http://%s\n", ln.Addr())
		return runNamesrv(cmd.Context(), ln, door.access, secret, log.logger(cmd.ErrOrStderr()))
	}
	return cmd
}

// runNamesrv serves a name server on ln until ctx ends. It accepts registrations from
// other hosts that know the secret or, without a secret, if access is insecure.
func runNamesrv(ctx context.Context, ln net.Listener, access *access, secret cluster.Secret, logger *slog.Logger) error {
	options := []namesrv.RegistryOption{namesrv.WithLogger(logger), namesrv.WithAllowedHosts(access.hosts...)}
	switch {
	case !secret.IsZero():
		options = append(options, namesrv.WithSecret(secret))
	case access.insecure:
		options = append(options, namesrv.WithInsecureRegistration())
	}
	return server.Serve(ctx, ln, namesrv.NewRegistry(options...), logger)
}
