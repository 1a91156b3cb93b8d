package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/transport/httptransport"
)

// tokenVariable is the environment variable with a token. There is no flag for a token,
// because everybody on a machine can see the flags of its processes.
const tokenVariable = "GDIAMOND_TOKEN"

// maxTokenFile is the largest file of a token that is read, in bytes.
const maxTokenFile = 64 << 10

// identity has the flags that say who asks, beside those that say which servers are asked.
type identity struct {
	tokenFile string
	profile   string
}

func (i *identity) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&i.tokenFile, "token-file", "", "`FILE` with the token that proves who asks (default "+tokenVariable+", or that of the profile)")
	f.StringVar(&i.profile, "profile", "", "`NAME` of the profile with servers and token that `gdiamond login` made (default the current one, unless --server or --namesrv is given)")
	hides(f, "server", "namesrv", "profile")
	hides(f, "namesrv", "server", "profile")
	hides(f, "profile", "server", "namesrv", "token-file")
}

// selected returns the profile that the command uses, or an empty one. A profile is not
// used where servers are given: its token is for its own servers only.
func (c *connection) selected() (profile, error) {
	given := len(c.servers) > 0 || len(c.namesrvs) > 0
	if given && c.identity.profile != "" {
		return profile{}, usageError{errors.New("profile: it names its servers itself; give only one of --profile, --server and --namesrv")}
	}
	if given {
		return profile{}, nil
	}
	all, err := readProfiles()
	if err != nil {
		return profile{}, err
	}
	switch {
	case c.identity.profile != "":
		return all.named(c.identity.profile)
	case all.Current != "":
		return all.named(all.Current)
	}
	return profile{}, nil
}

// proof is the token that proves who asks, or the file that has it. Both are empty for a
// caller who is anonymous.
type proof struct{ token, file string }

// proof returns the proof of the command, whose profile is from. The command line takes
// precedence over the environment, the environment over the settings file, and all of
// them over a profile, unless the command line names it.
func (c *connection) proof(from profile) (proof, error) {
	if c.as != nil {
		return *c.as, nil
	}
	variable := strings.TrimSpace(os.Getenv(tokenVariable))
	file := c.identity.tokenFile
	switch {
	case file != "" && typed(c.given, "token-file"):
		return proof{file: file}, nil
	case typed(c.given, "profile"):
		return proof{token: from.Token}, nil
	case file != "" && variable != "" && os.Getenv(envName("token-file")) != "":
		return proof{}, usageError{fmt.Errorf("token-file: the environment has %s and %s; give only one of them", tokenVariable, envName("token-file"))}
	case variable != "":
		return proof{token: variable}, nil
	case file != "":
		return proof{file: file}, nil
	}
	return proof{token: from.Token}, nil
}

// proving returns the options of connections with which the command proves who asks. The token
// is one for all its connections, so that a warning about it comes once. Of a token on plain
// HTTP warn the command that is given it, and login, but not those that find it in a profile.
func (c *connection) proving(as proof, from profile) (opts []httptransport.Option, err error) {
	c.anonymous = as == proof{}
	if c.anonymous || c.proves != nil {
		return c.proves, nil
	}
	if as.file != "" {
		if _, err := readPrivate(as.file, maxTokenFile); err != nil {
			return nil, fmt.Errorf("token-file: %w", err)
		}
		opts = append(opts, httptransport.WithTokenFile(as.file))
	} else {
		if err := checkToken(as.token); err != nil {
			return nil, err
		}
		opts = append(opts, httptransport.WithToken(as.token))
	}
	if as.file != "" || as.token != from.Token {
		options := &slog.HandlerOptions{ReplaceAttr: withoutTime}
		opts = append(opts, httptransport.WithTokenLogger(slog.New(slog.NewTextHandler(c.stderr(), options))))
	}
	c.proves = opts
	return opts, nil
}

// withoutTime leaves the time out of a record for who is looking on.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
