package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/govern"
)

// rightsMode is the value of --rights.
type rightsMode string

// Set implements pflag.Value.
func (m *rightsMode) Set(value string) error {
	if value != govern.ModeClosed && value != govern.ModeObserve {
		return fmt.Errorf("%q is neither %s nor %s", value, govern.ModeClosed, govern.ModeObserve)
	}
	*m = rightsMode(value)
	return nil
}

// String implements pflag.Value.
func (m *rightsMode) String() string { return string(*m) }

// Type implements pflag.Value.
func (m *rightsMode) Type() string { return "mode" }

// governing has the flags that say who may do what at a server.
type governing struct {
	mode            rightsMode
	ungoverned      bool
	keepCredentials bool
	tokenFile       string
	denyFile        string
	metrics         string
	login           string // address of this server for a login, which the message about the token names; "" for none
}

func (g *governing) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var(&g.mode, "rights", "deny what is not granted, or with --rights=observe only log it; needed until the store is governed, which the first such server makes it")
	f.Lookup("rights").NoOptDefVal = govern.ModeClosed
	f.StringVar(&g.tokenFile, "bootstrap-token-file", "", "`FILE` with the secret of the first administrator's token (default: the server that makes the store governed prints one)")
	f.BoolVar(&g.keepCredentials, "keep-credentials", false, "after a restore, confirm the tokens of before: revoked ones are valid again")
	f.StringVar(&g.denyFile, "deny-file", "", "`FILE` with the principals that this server refuses at once, one a line; a change is taken within a second")
	f.BoolVar(&g.ungoverned, "ungoverned", false, "DANGEROUS: serve a governed store without its rights; everybody who can reach the server may read and publish everything")
	f.StringVar(&g.metrics, "metrics-listen", "", "`HOST:PORT` of a separate listener for /metrics and health, for which nobody needs a right (default none)")
}

// check refuses flags that exclude each other. Insecure says that --insecure is given.
func (g *governing) check(insecure bool) error {
	on := g.mode != ""
	for _, c := range []struct {
		wrong bool
		says  string
	}{
		{on && insecure, "insecure: means that everybody may do everything, and --rights that they may not; give one of them"},
		{on && g.ungoverned, "ungoverned: means that everybody may do everything, and --rights that they may not; give one of them"},
		{g.ungoverned && g.keepCredentials, "keep-credentials: a server that is --ungoverned asks for none"},
		{g.ungoverned && g.denyFile != "", "deny-file: a server that is --ungoverned does not know who asks"},
		{!on && g.tokenFile != "", "bootstrap-token-file: needs --rights"},
	} {
		if c.wrong {
			return usageError{errors.New(c.says)}
		}
	}
	if g.metrics != "" {
		if _, _, err := net.SplitHostPort(g.metrics); err != nil {
			return usageError{fmt.Errorf("metrics-listen: %w", err)}
		}
	}
	return nil
}

// bootstrapToken returns the secret in the file of --bootstrap-token-file, or "" without one.
// Its errors do not quote it.
func (g *governing) bootstrapToken() (string, error) {
	if g.tokenFile == "" {
		return "", nil
	}
	const flag = "bootstrap-token-file"
	content, err := readPrivate(g.tokenFile, maxPassword)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if err := govern.CheckTokenSecret(secret); err != nil {
		return "", usageError{fmt.Errorf("%s: %s: %w", flag, g.tokenFile, err)}
	}
	return secret, nil
}
