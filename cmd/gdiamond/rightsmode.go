package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/govern/admin"
)

func newRights() *cobra.Command {
	return group("rights", "Show and change how the servers decide by rights", newRightsMode(), newConfirmCredentials(), newResetToken())
}

func newRightsMode() *cobra.Command {
	var s steward
	cmd := &cobra.Command{
		Use:   "mode [closed|observe]",
		Short: "Show whether what is not granted is refused (closed) or only logged (observe), or change it",
		Long: `Show whether what is not granted is refused (closed) or only logged (observe), or change it.

Where servers decide by no rights, it shows open, and a change fails with exit code 3.`,
		Args: arguments(0, 1, "at most a mode"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return s.showMode(cmd)
			}
			if args[0] != govern.ModeClosed && args[0] != govern.ModeObserve {
				return usageError{conf.Invalidf("mode: %s is neither %s nor %s", conf.Clip(args[0]), govern.ModeClosed, govern.ModeObserve)}
			}
			revision, err := updateQuietly(cmd, &s, &govern.Marker{}, func(m *govern.Marker, exists bool) error {
				m.Mode = args[0]
				return mustBeGoverned(exists)
			})
			if err != nil {
				return err
			}
			return s.changed(cmd, changedOut{"set", "mode", args[0], revision})
		},
	}
	s.flags(cmd)
	return cmd
}

func (s *steward) showMode(cmd *cobra.Command) error {
	ctx, client, done, err := s.client(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	marker, _, err := admin.Read(ctx, client, &govern.Marker{})
	out := map[string]any{}
	switch {
	case err == nil:
		out["mode"], out["created"] = marker.Mode, marker.Created
	case errors.Is(err, diamond.ErrDenied): // there is none in an open store, and the mode is no secret
		who, err := s.whoami(cmd.Context())
		if err != nil {
			return err
		}
		out["mode"] = who.Mode
	default:
		return err
	}
	if out["mode"] == conf.ModeOpen {
		fmt.Fprintln(cmd.ErrOrStderr(), "gdiamond: "+noRights)
	}
	if s.output != formatTable {
		return s.output.write(cmd.OutOrStdout(), out)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), out["mode"])
	return err
}

// mustBeGoverned refuses to make a marker, which only a set-up does.
func mustBeGoverned(exists bool) error {
	if !exists {
		return errOpen
	}
	return nil
}

func newConfirmCredentials() *cobra.Command {
	var s steward
	cmd := &cobra.Command{
		Use:   "confirm-credentials",
		Short: "After a restore or a fork, let the tokens of before be used again",
		Long: `After a restore or a fork, let the tokens of before be used again.

They are suspended until then, because a token that was revoked after the backup would be
valid again. Revoke these first.`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, client, done, err := s.client(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			head, err := client.Head(ctx)
			if err != nil {
				return err
			}
			return update(cmd, &s, "confirm", &govern.Credentials{}, func(c *govern.Credentials, _ bool) error {
				c.Generation = max(c.Generation, head.Epoch.Generation)
				return nil
			})
		},
	}
	s.flags(cmd)
	return cmd
}
