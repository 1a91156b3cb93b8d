package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newRoot returns the tree of commands. It calls began before a command runs.
func newRoot(began func()) *cobra.Command {
	root := &cobra.Command{
		Use:   "gdiamond",
		Short: "A configuration centre: its servers and its client",
		Long: `A configuration centre: its servers and its client.

Every flag can also be set by an environment variable, such as GDIAMOND_IF_REVISION for
--if-revision, or in the settings file of --config, a YAML mapping of commands to their
flags. The command line takes precedence over the environment, and the environment over
the file.

Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 conflict, 5 no (of can, and of
apply --dry-run where something differs).`,
		Version:       builtFrom(),
		SilenceErrors: true, // main prints them
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", flagError(err), cmd.CommandPath())
	})
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("gdiamond {{.Version}}\n")
	root.PersistentFlags().String(configFlag, "", "settings `FILE` in YAML, with a section for each command")
	root.SetHelpCommand(newHelp())
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := applySettings(cmd); err != nil {
			return err
		}
		if err := cmd.ValidateFlagGroups(); err != nil { // cobra would do so after began, when it is no longer a usage error
			return err
		}
		began()
		return nil
	}
	root.AddCommand(doing()...)
	root.AddCommand(newConfig())
	return root
}

// doing returns all commands except the one that prints their settings.
func doing() []*cobra.Command {
	return []*cobra.Command{
		newStandalone(), newServer(), newNamesrv(),
		newGet(), newPublish(), newRm(), newRollback(), newLs(), newWatch(), newHistory(), newImport(), newExport(),
		newBackup(), newRestore(), newCompact(), newCheck(),
		newMigrate(), newCopy(),
		newListeners(), newClients(), newCluster(),
		newLogin(), newLogout(), newProfile(), newWhoami(), newCan(),
		newTenant(), newNamespace(), newUser(), newTeam(), newRole(), newGrant(), newToken(), newRights(), newApply(),
		newVersion(),
	}
}

// newHelp returns cobra's help command, except that an unknown command is an error.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err == nil {
				err = noSuchCommand(found, rest)
			}
			if err != nil {
				return usageError{err}
			}
			return found.Help()
		},
	}
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := fmt.Sprintf("see %s --help", cmd.CommandPath())
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = "did you mean " + strings.Join(similar, ", ") + "?"
	}
	return fmt.Errorf("unknown command %q; %s", args[0], hint)
}

// arguments requires from least to most arguments. what describes them.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		hint := ""
		if len(args) > most {
			hint = joined(cmd, args[most])
		}
		return fmt.Errorf("%s takes %s, and got %d arguments%s; see %s --help", cmd.Name(), what, len(args), hint, cmd.CommandPath())
	}
}

// joined is a hint for an argument that was meant as the value of a flag before it. A flag that
// can be given without a value takes one after "=" only.
func joined(cmd *cobra.Command, arg string) (hint string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.NoOptDefVal != "" && f.Value.Type() != "bool" && f.Value.String() == f.NoOptDefVal && f.Value.Set(arg) == nil {
			hint = fmt.Sprintf("; use --%s=%s", f.Name, arg)
		}
	})
	return hint
}
