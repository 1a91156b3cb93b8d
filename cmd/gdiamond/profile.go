package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newProfile() *cobra.Command {
	return group("profile", "Show the profiles that `gdiamond login` made, and choose one", newProfileLs(), newProfileUse())
}

// profileOut is a profile in the output, without its token.
type profileOut struct {
	Name        string   `json:"name" yaml:"name"`
	Current     bool     `json:"current" yaml:"current"`
	Servers     []string `json:"server,omitempty" yaml:"server,omitempty"`
	NameServers []string `json:"namesrv,omitempty" yaml:"namesrv,omitempty"`
	HasToken    bool     `json:"hasToken" yaml:"hasToken"`
}

func newProfileLs() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the profiles; no token is shown",
		Args:  arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := readProfiles()
			if err != nil {
				return err
			}
			list := []profileOut{}
			for _, name := range all.names() {
				p := all.Profiles[name]
				list = append(list, profileOut{name, name == all.Current, p.Servers, p.NameServers, p.Token != ""})
			}
			if output != formatTable {
				return output.write(cmd.OutOrStdout(), list)
			}
			rows := make([][]string, len(list))
			for i, p := range list {
				rows[i] = []string{p.Name, yes(p.Current), dash(strings.Join(append(p.Servers, p.NameServers...), ",")), yes(p.HasToken)}
			}
			return table(cmd.OutOrStdout(), "NAME CURRENT SERVERS TOKEN", rows)
		},
	}
	cmd.Flags().VarP(&output, "output", "o", "table, json or yaml")
	return cmd
}

func newProfileUse() *cobra.Command {
	return &cobra.Command{
		Use:   "use NAME",
		Short: "Make a profile the one of commands that name none",
		Args:  arguments(1, 1, "a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := readProfiles()
			if err != nil {
				return err
			}
			if _, err := all.named(args[0]); err != nil {
				return err
			}
			all.Current = args[0]
			if err := all.write(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "profile %s is the current one\n", args[0])
			return err
		},
	}
}

// group returns a command that only has others.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("%s needs a command; see %s --help", cmd.Name(), cmd.CommandPath())}
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

// yes returns "yes", or "-" for no.
func yes(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}
