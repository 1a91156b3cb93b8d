package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
)

func newToken() *cobra.Command {
	return group("token", "Manage tokens, with which programs prove who they are",
		newTokenCreate(), newTokenRotate(), newTokenSecret(),
		newRetire("token", "revoke", "Take all rights from a token, for ever; the name is not used again", func(name string) govern.Document { return &govern.Token{Name: name} }),
		newKindShow(govern.KindToken),
		newKindLs(govern.KindToken, "NAME SECRETS EXPIRES ADDRESSES DESCRIPTION", func(doc govern.Document) []string {
			t := doc.(*govern.Token)
			return []string{t.Name, strconv.Itoa(len(t.Secrets)), expiry(t.Secrets), dash(strings.Join(t.Addresses, ",")), dash(t.Description)}
		}))
}

// expiry returns when the last secret of a token expires.
func expiry(secrets []govern.Secret) string {
	switch last, forever := lastExpiry(secrets); {
	case forever:
		return "never"
	case last.IsZero():
		return "-"
	default:
		return shortTime(last)
	}
}

// secretFlags has the flags of commands that make a secret.
type secretFlags struct {
	expires string
	file    string
}

func (f *secretFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.expires, "expires", "90d", "time for which the secret is valid, such as 90d or 12h, or never")
	cmd.Flags().StringVar(&f.file, "secret-file", "", "write the secret to a new `FILE` that only you may read (default standard output)")
}

// newSecret makes a secret, and what the document of its token keeps of it.
func (f *secretFlags) newSecret(now time.Time) (secret string, kept govern.Secret, err error) {
	valid, err := parseExpiry(f.expires)
	if err != nil {
		return "", kept, usageError{err}
	}
	secret = govern.NewTokenSecret()
	kept = govern.Secret{SHA256: govern.HashTokenSecret(secret), Added: now.UTC().Truncate(time.Second)}
	if valid > 0 {
		kept.Expires = kept.Added.Add(valid)
	}
	return secret, kept, nil
}

// parseExpiry reads a time such as 90d or 12h, or never, which is 0.
func parseExpiry(s string) (time.Duration, error) {
	if s == "never" {
		return 0, nil
	}
	const longest = 3650 * 24 * time.Hour
	wrong := conf.Invalidf("expires: %s is neither never nor a time above 0 and up to 3650d, such as 90d or 12h", conf.Clip(s))
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n == 0 || n > 3650 {
			return 0, wrong
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	valid, err := time.ParseDuration(s)
	if err != nil || valid <= 0 || valid > longest {
		return 0, wrong
	}
	return valid, nil
}

// secretOut is a new secret in the output. It is shown once.
type secretOut struct {
	Name    string    `json:"name" yaml:"name"`
	Secret  string    `json:"secret,omitempty" yaml:"secret,omitempty"` // not where it is in a file
	Expires time.Time `json:"expires,omitzero" yaml:"expires,omitempty"`
}

// give makes a secret, has commit store what is kept of it, and hands it out: alone on
// standard output, or in a new file. A file is made before the commit, so that no secret
// is lost, and is removed if the commit failed.
func (f *secretFlags) give(cmd *cobra.Command, s *steward, name string, commit func(kept govern.Secret) error) (err error) {
	secret, kept, err := f.newSecret(time.Now())
	if err != nil {
		return err
	}
	if f.file != "" {
		file, err := os.OpenFile(f.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("secret-file: %w", err)
		}
		_, err = file.WriteString(secret + "\n")
		if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
			return errors.Join(fmt.Errorf("secret-file: %w", err), os.Remove(f.file))
		}
	}
	if err := commit(kept); err != nil {
		if f.file != "" && !errors.Is(err, diamond.ErrUnknownOutcome) {
			err = errors.Join(err, os.Remove(f.file))
		}
		return err
	}
	out := secretOut{Name: name, Expires: kept.Expires}
	if f.file == "" {
		out.Secret = secret
	}
	switch {
	case s.output != formatTable:
		return s.output.write(cmd.OutOrStdout(), out)
	case f.file == "":
		_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "the secret of token %s is in %s\n", name, f.file)
	}
	return err
}

func newTokenCreate() *cobra.Command {
	var s steward
	var a about
	var f secretFlags
	var addresses []string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a token and print its secret, once; a token TENANT.NAME belongs to the tenant",
		Long: `Create a token and print its secret. No server keeps the secret, so it is printed only once.
A token TENANT.NAME belongs to the tenant. A token has no rights until a grant gives it some.`,
		Args: arguments(1, 1, "a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			named := &govern.Token{Name: args[0], Addresses: addresses, Description: a.description}
			if err := govern.Validate(named); err != nil {
				return usageError{err}
			}
			return f.give(cmd, &s, args[0], func(kept govern.Secret) error {
				_, err := updateQuietly(cmd, &s, named, func(t *govern.Token, exists bool) error {
					if exists && t.Retired {
						return errRetired(t)
					}
					t.Secrets, t.Addresses, t.Description = []govern.Secret{kept}, addresses, a.description
					return mustBe(false, exists, t)
				})
				return err
			})
		},
	}
	s.flags(cmd)
	a.describe(cmd)
	f.flags(cmd)
	listVar(cmd.Flags(), &addresses, "address", nil, "`RANGE[,...]` of addresses from which it may be used, such as 10.0.0.0/8 (default everywhere)")
	return cmd
}

func newTokenRotate() *cobra.Command {
	var s steward
	var f secretFlags
	var finish bool
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Add a second secret to a token and print it, or with --finish remove the older one",
		Long: `Add a second secret to a token and print it. Both are valid, so that no request fails while
programs are given the new one. Then run the command with --finish, which removes the older
secret.`,
		Args: arguments(1, 1, "a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			named := &govern.Token{Name: args[0]}
			there := func(t *govern.Token, exists bool) error {
				if err := mustBe(true, exists, t); err != nil {
					return err
				}
				if t.Retired {
					return errRetired(t)
				}
				return nil
			}
			if finish {
				return update(cmd, &s, "rotate", named, func(t *govern.Token, exists bool) error {
					if err := there(t, exists); err != nil {
						return err
					}
					t.Secrets = newest(t.Secrets)
					return nil
				})
			}
			return f.give(cmd, &s, args[0], func(kept govern.Secret) error {
				_, err := updateQuietly(cmd, &s, named, func(t *govern.Token, exists bool) error {
					if err := there(t, exists); err != nil {
						return err
					}
					if len(t.Secrets) >= govern.MaxSecrets {
						return conf.Errorf(diamond.ErrConflict, "%s: the token has %d secrets already; remove the older one with --finish", t.Name, len(t.Secrets))
					}
					t.Secrets = append(t.Secrets, kept)
					return nil
				})
				return err
			})
		},
	}
	s.flags(cmd)
	f.flags(cmd)
	cmd.Flags().BoolVar(&finish, "finish", false, "remove the older secret")
	cmd.MarkFlagsMutuallyExclusive("finish", "expires")
	cmd.MarkFlagsMutuallyExclusive("finish", "secret-file")
	return cmd
}

// newest returns the secret that was added last, alone. Of those added in the same second
// it is the last in the document.
func newest(secrets []govern.Secret) []govern.Secret {
	var last []govern.Secret
	for i := range secrets {
		if len(last) == 0 || !secrets[i].Added.Before(last[0].Added) {
			last = secrets[i : i+1]
		}
	}
	return last
}

func newTokenSecret() *cobra.Command {
	return &cobra.Command{
		Use:   "secret",
		Short: "Print a new secret that belongs to no token, such as for --bootstrap-token-file",
		Args:  arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), govern.NewTokenSecret())
			return err
		},
	}
}
