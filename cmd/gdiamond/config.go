package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the settings that a command would use",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	show := &cobra.Command{
		Use:   "print COMMAND [FLAG...]",
		Short: "Print each setting of COMMAND and its origin; secrets are hidden",
		Long: `Print each setting of COMMAND and its origin: the command line, the environment,
the settings file or the default. Secrets are hidden.`,
		Example: "  gdiamond config print server --config gdiamond.yaml",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, c := range doing() {
		if of := printing(c); of != nil {
			show.AddCommand(of)
		}
	}
	cmd.AddCommand(show)
	return cmd
}

// settingOut is a setting in the output.
type settingOut struct {
	Setting string `json:"setting" yaml:"setting"`
	Value   string `json:"value" yaml:"value"`
	From    string `json:"from" yaml:"from"`
}

// printing makes a command, or those that it has, print its settings instead of running.
// It returns nil if there are none.
func printing(cmd *cobra.Command) *cobra.Command {
	if cmd.HasSubCommands() {
		of := group(cmd.Name(), "Print the settings of the commands of "+cmd.Name())
		for _, c := range cmd.Commands() {
			cmd.RemoveCommand(c)
			if p := printing(c); p != nil {
				of.AddCommand(p)
			}
		}
		return of
	}
	if !cmd.Flags().HasFlags() {
		return nil
	}
	output := cmd.Flags().Lookup("output")
	own := output != nil // a setting of the command itself, which also sets the format here
	if !own {
		as := formatTable
		output = cmd.Flags().VarPF(&as, "output", "o", "table, json or yaml")
	}
	cmd.Use, cmd.Short, cmd.Long = cmd.Name(), "Print the settings of "+cmd.Name(), ""
	cmd.Args = arguments(0, 0, "no arguments")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var settings []settingOut
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && (own || f != output) {
				settings = append(settings, settingOut{f.Name, shownValue(f), originOf(f)})
			}
		})
		if as := *output.Value.(*format); as != formatTable {
			return as.write(cmd.OutOrStdout(), settings)
		}
		rows := make([][]string, len(settings))
		for i, s := range settings {
			rows[i] = []string{s.Setting, dash(s.Value), s.From}
		}
		return table(cmd.OutOrStdout(), "SETTING VALUE FROM", rows)
	}
	return cmd
}

func shownValue(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return strings.Join(list.GetSlice(), ",")
	}
	value := f.Value.String()
	if _, hidden := f.Annotations[secretFlag]; hidden && value != "" {
		return "(hidden)"
	}
	return value
}

func originOf(f *pflag.Flag) string {
	switch origin := f.Annotations[originFlag]; {
	case len(origin) > 0:
		return origin[0]
	case f.Changed:
		return "command line"
	}
	return "default"
}
