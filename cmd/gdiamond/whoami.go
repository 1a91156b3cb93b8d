package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// whoamiOut is who a server says that the caller is.
type whoamiOut struct {
	Principal string    `json:"principal" yaml:"principal"` // or "anonymous"
	Mode      string    `json:"mode" yaml:"mode"`           // open, observe or closed
	Expires   time.Time `json:"expires,omitzero" yaml:"expires,omitempty"`
	Teams     []string  `json:"teams,omitempty" yaml:"teams,omitempty"`
}

func newWhoami() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show who you are to the servers, and whether they decide by rights",
		Args:  arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			who, err := c.whoami(cmd.Context())
			if err != nil {
				return err
			}
			out := whoamiOut{principalShown(who.Principal), who.Mode, who.Expires, who.Teams}
			if c.output != formatTable {
				return c.output.write(cmd.OutOrStdout(), out)
			}
			expires := "-"
			if !out.Expires.IsZero() {
				expires = shortTime(out.Expires)
			}
			return table(cmd.OutOrStdout(), "PRINCIPAL MODE EXPIRES TEAMS", [][]string{{out.Principal, out.Mode, expires, dash(strings.Join(out.Teams, ","))}})
		},
	}
	c.common(cmd)
	return cmd
}

// principalShown returns the name of a principal as users write it.
func principalShown(name string) string {
	if name == "" {
		return govern.Anonymous
	}
	return name
}

// canOut is the answer to a question about a right, in the output.
type canOut struct {
	Allowed bool   `json:"allowed" yaml:"allowed"`
	Why     string `json:"why" yaml:"why"`
}

// errNo is the answer no, for the exit code.
var errNo = errors.New("no")

func newCan() *cobra.Command {
	var c connection
	var as string
	cmd := &cobra.Command{
		Use:   "can VERB SCOPE",
		Short: "Say whether you, or another, have a right; exit with 0 for yes and 5 for no",
		Long: `Say whether you, or another, have a right, and why. The exit code is 0 for yes and 5 for no.

VERB is ` + strings.Join(govern.Verbs(), ", ") + `. SCOPE is all, tenant:TENANT,
environment:TENANT:ENVIRONMENT, namespace:ID, or namespace:ID/PREFIX for the groups that
begin with PREFIX. To ask about another, you need the right to administer the scope.`,
		Example: "  gdiamond can read namespace:pay.daily --as token:pay.service",
		Args:    arguments(2, 2, "a VERB and a SCOPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := govern.ParseVerb(args[0]); err != nil {
				return usageError{err}
			}
			if _, err := govern.ParseScope(args[1]); err != nil {
				return usageError{err}
			}
			if as != "" {
				if _, err := govern.ParseSubject(as); err != nil {
					return usageError{fmt.Errorf("as: %w", err)}
				}
			}
			var answer conf.CanResponse
			err := c.ask(cmd.Context(), func(ctx context.Context, wire *httptransport.Transport) (err error) {
				answer, err = wire.Can(ctx, conf.CanRequest{Verb: args[0], Scope: args[1], As: as})
				return err
			})
			if err != nil {
				return err
			}
			if c.output != formatTable {
				err = c.output.write(cmd.OutOrStdout(), canOut{answer.Allowed, answer.Why})
			} else {
				word := "no"
				if answer.Allowed {
					word = "yes"
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", word, answer.Why)
			}
			if err == nil && !answer.Allowed {
				err = errNo
			}
			return err
		},
	}
	c.common(cmd)
	cmd.Flags().StringVar(&as, "as", "", "`PRINCIPAL` to ask about, such as token:pay.service, user:ann or anonymous (default you)")
	return cmd
}

// whoami asks a server who the caller is.
func (c *connection) whoami(ctx context.Context) (who conf.Identity, err error) {
	err = c.ask(ctx, func(ctx context.Context, wire *httptransport.Transport) (err error) {
		who, err = wire.WhoAmI(ctx)
		return err
	})
	return who, err
}

// ask calls one server after the other, and again, until one answers or the command's time
// is over.
func (c *connection) ask(ctx context.Context, call func(ctx context.Context, wire *httptransport.Transport) error) error {
	resolver, opts, err := c.way()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return patiently(ctx, func() error {
		addresses, err := resolver.Resolve(ctx)
		if err != nil {
			return err
		}
		err = conf.Errorf(diamond.ErrUnavailable, "the name servers know no server")
		for _, address := range addresses {
			var wire *httptransport.Transport
			if wire, err = httptransport.New(address, opts...); err != nil {
				return err
			}
			err = call(ctx, wire)
			wire.Close()
			if !errors.Is(err, diamond.ErrUnavailable) && !errors.Is(err, diamond.ErrOverloaded) {
				return err
			}
		}
		return err
	})
}

// patiently calls until a server answers or ctx ends.
func patiently(ctx context.Context, call func() error) error {
	var pause backoff.Backoff
	err := call()
	for errors.Is(err, diamond.ErrUnavailable) || errors.Is(err, diamond.ErrOverloaded) {
		var after time.Duration
		var e *diamond.Error
		if errors.As(err, &e) {
			after = e.RetryAfter
		}
		if ended := pause.Wait(ctx, after); ended != nil {
			return fmt.Errorf("%w (%w)", err, ended)
		}
		err = call()
	}
	return err
}
