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

// settings are those of one command, from the settings file: a YAML document
// with a section for each command, and in it a setting for each flag.
type settings struct {
	path   string
	values map[string]yaml.Node
}

// readSettings reads what the file at path has for cmd. A section or setting
// that no command has is an error, in whatever section: a typo is not silent.
func readSettings(cmd *cobra.Command, path string) (*settings, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	// Its errors quote nothing of the file, where secrets may stand.
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
	return &settings{path: path, values: sections[cmd.Name()]}, nil
}

// withoutValues returns an error of the decoder's that quotes no value: it may be
// a secret that is in the wrong place.
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

// commandOf returns the command of the settings in a section; nil: there is none.
func commandOf(root *cobra.Command, section string) *cobra.Command {
	for _, cmd := range root.Commands() {
		if cmd.Name() == section {
			return cmd
		}
	}
	return nil
}

// source has what the file says of a flag.
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
