package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/tlsfile"
)

// defaultProfile is the name of the profile of a login that names none.
const defaultProfile = "default"

func newLogin() *cobra.Command {
	var name string
	var p profile
	var timeout time.Duration
	var files tlsfile.Files
	cmd := &cobra.Command{
		Use:   "login [FILE|-]",
		Short: "Keep a token, and the servers that it is for, in a profile",
		Long: `Keep a token, and the servers that it is for, in a profile, and make it the current one.

The token is read from FILE or standard input. It is kept only if a server accepts it. The
file of the profiles is gdiamond/profiles.yaml in your directory for settings, such as
~/.config, and only you may read it. Client commands use the current profile if neither
their flags nor the environment name servers.`,
		Example: "  gdiamond login --server 10.0.0.11:1210 token-file",
		Args:    arguments(0, 1, "at most a FILE, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkProfileName(name); err != nil {
				return err
			}
			switch {
			case len(p.Servers) > 0 && len(p.NameServers) > 0:
				return usageError{errBothWays}
			case len(p.Servers)+len(p.NameServers) == 0:
				return usageError{errors.New("server: login needs --server or --namesrv, because a token is for certain servers")}
			}
			all, err := readProfiles() // before anybody types a token in vain
			if err != nil {
				return err
			}
			if err := p.keepTLS(files); err != nil {
				return err
			}
			from := "-"
			if len(args) > 0 {
				from = args[0]
			}
			if p.Token, err = readToken(cmd, from); err != nil {
				return err
			}
			c := connection{servers: p.Servers, namesrvs: p.NameServers, timeout: timeout, tls: files, as: &proof{token: p.Token}, stderr: cmd.ErrOrStderr}
			who, err := c.recognized(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case who.Principal != "":
			case who.Mode == conf.ModeOpen:
				return errors.New("token: nothing was kept, because it cannot be checked: " + noRights)
			default: // observe mode takes a token that is not valid for none
				return errors.New("token: is not valid; nothing was kept")
			}
			all.Profiles[name] = p
			all.Current = name
			if err := all.write(); err != nil {
				return err
			}
			if _, err = fmt.Fprintf(cmd.OutOrStdout(), "logged in as %s, profile %s\n", who.Principal, name); err != nil {
				return err
			}
			for _, flag := range []string{"server", "namesrv"} {
				if os.Getenv(envName(flag)) != "" {
					fmt.Fprintf(cmd.ErrOrStderr(), "gdiamond: %s is set: commands ask its servers without the profile's token, unless they are given --profile %s; unset it to use the profile\n", envName(flag), name)
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "profile", defaultProfile, "`NAME` of the profile")
	serverFlags(f, &p.Servers, &p.NameServers)
	hides(f, "server", "namesrv")
	hides(f, "namesrv", "server")
	tlsFlags(f, &files)
	f.DurationVar(&timeout, "timeout", defaultTimeout, "time limit of the check of the token")
	return cmd
}

// spread is the time within which all servers of a store know that it has been made governed.
const spread = 3 * time.Second

// recognized returns who the servers say that the holder of the token is. A server without
// rights may be about to learn of them from another one, which has just printed the token. So
// recognized asks it again for a while.
func (c *connection) recognized(ctx context.Context) (who conf.Identity, err error) {
	begun, pause := time.Now(), backoff.Backoff{Base: 200 * time.Millisecond, Cap: 500 * time.Millisecond}
	for {
		who, err = c.whoami(ctx)
		if err != nil || who.Mode != conf.ModeOpen || time.Since(begun) > spread {
			return who, err
		}
		if err := pause.Wait(ctx, 0); err != nil {
			return who, err
		}
	}
}

// readToken reads a token from a file or standard input.
func readToken(cmd *cobra.Command, from string) (string, error) {
	if in, ok := cmd.InOrStdin().(*os.File); ok && from == "-" {
		if info, err := in.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprint(cmd.ErrOrStderr(), "Token, then Enter and Ctrl-D (the terminal shows what you type; a FILE or a pipe does not): ")
		}
	}
	in, err := input(cmd.Context(), cmd.InOrStdin(), from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxTokenFile))
	if err != nil {
		return "", err
	}
	token := string(bytes.TrimSpace(data))
	return token, checkToken(token)
}

// checkToken refuses what cannot be a token. Its error does not quote the token.
func checkToken(token string) error {
	if token == "" {
		return usageError{conf.Invalidf("token: is empty")}
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return usageError{conf.Invalidf("token: has a space, or a byte that is not printable, at %d", i)}
		}
	}
	return nil
}

func newLogout() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Forget a profile with its token; the token stays valid",
		Args:  arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := readProfiles()
			if err != nil {
				return err
			}
			name = cmp.Or(name, all.Current)
			if name == "" {
				return usageError{errors.New("profile: there is no current one; name one with --profile")}
			}
			if _, err := all.named(name); err != nil {
				return err
			}
			delete(all.Profiles, name)
			if all.Current == name {
				all.Current = ""
			}
			if err := all.write(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "forgot profile %s\n", name)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "profile", "", "`NAME` of the profile (default the current one)")
	return cmd
}
