package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/linnaname/gdiamond/internal/document"
)

// configFlag names the settings file.
const configFlag = "config"

// settings are the settings of one command from the settings file, a YAML document
// with a section for each command and a setting for each flag.
type settings struct {
	path   string
	values map[string]yaml.Node
}

// readSettings reads the settings of cmd in the file at path. An unknown section or
// setting is an error, also in the sections of other commands, so that no typo goes
// unnoticed.
func readSettings(cmd *cobra.Command, path string) (*settings, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	// Its errors quote nothing of the file, which may have secrets.
	if _, err := document.Parse("yaml", data); err != nil && !errors.Is(err, document.ErrNothing) {
		return nil, fmt.Errorf("config: %s: %w", path, err)
	}
	var sections map[string]map[string]yaml.Node
	if err := yaml.Unmarshal(data, &sections); err != nil {
		return nil, fmt.Errorf("config: %s is not a YAML mapping of commands to their settings: %w", path, withoutValues(err))
	}
	var errs []error
	for section, values := range sections {
		of := commandOf(cmd.Root(), section)
		if of == nil {
			errs = append(errs, fmt.Errorf("config: %s: there is no command %q", path, section))
			continue
		}
		for name, value := range values {
			if f := of.Flags().Lookup(name); f == nil || name == "help" {
				errs = append(errs, fmt.Errorf("config: %s line %d: %s has no setting %q", path, value.Line, section, name))
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &settings{path: path, values: sections[sectionOf(cmd)]}, nil
}

// withoutValues removes the values that an error of the decoder quotes, because they
// may be secrets in the wrong place.
func withoutValues(err error) error {
	var mismatch *yaml.TypeError
	if !errors.As(err, &mismatch) {
		return err
	}
	var errs []error
	for _, text := range mismatch.Errors {
		line, _, _ := strings.Cut(text, ":")
		errs = append(errs, errors.New(line))
	}
	return errors.Join(errs...)
}

// sectionOf returns the name of the section for a command, such as "get" or "token create".
func sectionOf(cmd *cobra.Command) string {
	path := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
	return strings.TrimPrefix(path, "config print ") // which prints those of another command
}

// commandOf returns the command that a section is for, or nil if there is none.
func commandOf(root *cobra.Command, section string) *cobra.Command {
	for _, cmd := range root.Commands() {
		if sectionOf(cmd) == section {
			return cmd
		}
		if strings.HasPrefix(section, sectionOf(cmd)+" ") {
			return commandOf(cmd, section)
		}
	}
	return nil
}

// source implements the type source for the file.
func (s *settings) source(f *pflag.Flag) (set func() error, origin string) {
	node, ok := s.values[f.Name]
	if !ok {
		return nil, ""
	}
	origin = fmt.Sprintf("%s line %d", s.path, node.Line)
	return func() error { return setFromYAML(f, &node) }, origin
}

func setFromYAML(f *pflag.Flag, node *yaml.Node) error {
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag != "!!null":
		return setValue(f, node.Value)
	case node.Kind == yaml.SequenceNode:
		list, ok := f.Value.(pflag.SliceValue)
		if !ok {
			return fmt.Errorf("%s takes one value, not a list", f.Name)
		}
		values := make([]string, len(node.Content))
		for i, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return fmt.Errorf("%s takes a list of plain values", f.Name)
			}
			values[i] = item.Value
		}
		return list.Replace(values)
	}
	return fmt.Errorf("%s takes a plain value", f.Name)
}
