package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
)

// fileKind is a kind of documents that files may hold. Other kinds, and other fields, are
// not the business of files: secrets, and what happens to a thing in operation.
type fileKind struct {
	kind   string
	fields []string
}

// fileKinds are in the order in which documents depend on each other.
var fileKinds = []fileKind{
	{govern.KindRole, []string{"verbs", "description"}},
	{govern.KindTenant, []string{"environments", "description", "owner"}},
	{govern.KindNamespace, []string{"tenant", "environment", "description", "owner", "quota"}},
	{govern.KindUser, []string{"description"}},
	{govern.KindToken, []string{"description", "addresses"}},
	{govern.KindTeam, []string{"description", "members"}},
	{govern.KindGrants, []string{"grants"}},
}

// kindNames returns the names of the kinds that files may hold.
func kindNames() []string {
	names := make([]string, len(fileKinds))
	for i, k := range fileKinds {
		names[i] = k.kind
	}
	return names
}

// rankOf returns the place of a kind in the order, or -1.
func rankOf(kind string) int { return slices.Index(kindNames(), kind) }

// wanted is a document as a file has it.
type wanted struct {
	doc   govern.Document
	place string // FILE line N
}

// maxApplyFile is the largest file of documents that is read, in bytes.
const maxApplyFile = 16 << 20

// maxReason is the most bytes of what the YAML library says is wrong with a file.
const maxReason = 300

// readWanted reads the documents in a file, or in the files of a directory and those below
// it whose names end in .yaml, .yml or .json and do not begin with a dot. It reports
// everything that is wrong.
func readWanted(path string) ([]wanted, error) {
	var names []string
	err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != path && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		}
		if ext := strings.ToLower(filepath.Ext(name)); name == path || ext == ".yaml" || ext == ".yml" || ext == ".json" {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []wanted
	var problems []error
	places := map[conf.Key]string{}
	for _, name := range names {
		found, errs := readWantedFile(name)
		problems = append(problems, errs...)
		for _, w := range found {
			if first, ok := places[w.doc.Key()]; ok {
				problems = append(problems, conf.Invalidf("%s: %s %s stands in %s already", w.place, w.doc.Key().Group, w.doc.Key().DataID, first))
				continue
			}
			places[w.doc.Key()] = w.place
			all = append(all, w)
		}
	}
	if len(problems) == 0 && len(all) == 0 {
		problems = append(problems, conf.Invalidf("%s has no documents; files end in .yaml, .yml or .json", path))
	}
	return all, errors.Join(problems...)
}

// readWantedFile reads the documents of one file.
func readWantedFile(name string) (all []wanted, problems []error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, []error{err}
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxApplyFile+1))
	if err == nil && len(data) > maxApplyFile {
		err = conf.Errorf(conf.ErrTooLarge, "%s: more than %d bytes", name, maxApplyFile)
	}
	if err != nil {
		return nil, []error{err}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data)) // JSON is YAML
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return all, problems
		}
		if err != nil {
			reason := err.Error() // it may quote any length of the file
			if len(reason) > maxReason {
				reason = strings.ToValidUTF8(reason[:maxReason], "") + "..."
			}
			return all, append(problems, conf.Invalidf("%s: is neither YAML nor JSON: %s", name, reason))
		}
		body := &node
		if node.Kind == yaml.DocumentNode {
			body = node.Content[0]
		}
		if body.Kind == yaml.ScalarNode && body.Tag == "!!null" {
			continue // nothing between two lines of ---
		}
		place := fmt.Sprintf("%s line %d", name, body.Line)
		doc, err := parseWanted(name, body)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		all = append(all, wanted{doc, place})
	}
}

// parseWanted reads one document.
func parseWanted(file string, body *yaml.Node) (govern.Document, error) {
	place := fmt.Sprintf("%s line %d", file, body.Line)
	if body.Kind != yaml.MappingNode {
		return nil, conf.Invalidf("%s: is not a mapping with a kind", place)
	}
	kind, err := textOf(body, file, "kind")
	if err != nil {
		return nil, err
	}
	rank := rankOf(kind)
	if rank < 0 {
		return nil, conf.Invalidf("%s: kind: %s is none of %s", place, conf.Clip(kind), strings.Join(kindNames(), ", "))
	}
	of := fileKinds[rank]
	named := nameField(kind)
	name := ""
	if kind == govern.KindNamespace && valueOf(body, named) == nil {
		tenant, err := textOf(body, file, "tenant")
		if err != nil {
			return nil, err
		}
		environment, err := textOf(body, file, "environment")
		if err != nil {
			return nil, err
		}
		name = tenant + "." + environment
	} else if name, err = textOf(body, file, named); err != nil {
		return nil, err
	}
	key := govern.KeyOf(kind, name)
	empty, err := govern.NewDocument(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	fields := map[string]any{"format": govern.Format}
	if err := objectOf(file, body, "", reflect.TypeOf(empty).Elem(), append([]string{"kind", named}, of.fields...), fields); err != nil {
		return nil, err
	}
	delete(fields, "kind")
	delete(fields, named)
	if kind == govern.KindTenant && fields["environments"] == nil {
		fields["environments"] = govern.DefaultEnvironments()
	}
	content, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	doc, err := govern.ParseDocument(key, string(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	return doc, nil
}

// objectOf reads a mapping into fields. It knows the names that allowed has, or if that is
// nil those of the struct.
func objectOf(file string, node *yaml.Node, path string, of reflect.Type, allowed []string, fields map[string]any) error {
	types := jsonFields(of)
	if allowed == nil {
		for name := range types {
			allowed = append(allowed, name)
		}
		slices.Sort(allowed)
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		at := name.Value
		if path != "" {
			at = path + "." + at
		}
		if name.Kind != yaml.ScalarNode || !slices.Contains(allowed, name.Value) {
			return conf.Invalidf("%s line %d: there is no field %s; there are %s", file, name.Line, conf.Clip(at), strings.Join(allowed, ", "))
		}
		if _, ok := fields[name.Value]; ok && name.Value != "format" {
			return conf.Invalidf("%s line %d: %s: stands twice", file, name.Line, at)
		}
		v, err := valueFrom(file, value, at, types[name.Value])
		if err != nil {
			return err
		}
		fields[name.Value] = v
	}
	return nil
}

// valueFrom reads a value of a field of type of, which is nil for a kind or a name.
func valueFrom(file string, node *yaml.Node, path string, of reflect.Type) (any, error) {
	if of != nil && of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	wrong := func(what string) error {
		return conf.Invalidf("%s line %d: %s: is not %s", file, node.Line, path, what)
	}
	switch node.Kind {
	case yaml.MappingNode:
		if of == nil || of.Kind() != reflect.Struct {
			return nil, wrong("a mapping")
		}
		fields := map[string]any{}
		return fields, objectOf(file, node, path, of, nil, fields)
	case yaml.SequenceNode:
		if of == nil || of.Kind() != reflect.Slice {
			return nil, wrong("a list")
		}
		list := make([]any, len(node.Content))
		for i, item := range node.Content {
			v, err := valueFrom(file, item, fmt.Sprintf("%s[%d]", path, i), of.Elem())
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case yaml.ScalarNode:
		return scalarOf(node, of, wrong)
	}
	return nil, conf.Invalidf("%s line %d: %s: aliases are not allowed", file, node.Line, path)
}

// scalarOf reads a text or a whole number.
func scalarOf(node *yaml.Node, of reflect.Type, wrong func(what string) error) (any, error) {
	switch {
	case node.Tag == "!!null":
		return nil, wrong("a value: leave the field out")
	case of != nil && of.Kind() == reflect.Int64:
		n, err := strconv.ParseInt(node.Value, 10, 64)
		if err != nil {
			return nil, wrong("a whole number of 64 bits")
		}
		return n, nil
	case of == nil || of.Kind() == reflect.String:
		return node.Value, nil
	case of.Kind() == reflect.Slice:
		return nil, wrong("a list")
	}
	return nil, wrong("a mapping")
}

// jsonFields returns the types of the fields of a struct by their names in JSON.
func jsonFields(of reflect.Type) map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for i := range of.NumField() {
		if name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			types[name] = of.Field(i).Type
		}
	}
	return types
}

// valueOf returns the value of a field of a mapping, or nil.
func valueOf(body *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(body.Content); i += 2 {
		if body.Content[i].Value == name {
			return body.Content[i+1]
		}
	}
	return nil
}

// textOf returns the text of a field that a document must have.
func textOf(body *yaml.Node, file, name string) (string, error) {
	value := valueOf(body, name)
	if value == nil {
		return "", conf.Invalidf("%s line %d: %s: is missing", file, body.Line, name)
	}
	if value.Kind != yaml.ScalarNode || value.Value == "" || value.Tag == "!!null" {
		return "", conf.Invalidf("%s line %d: %s: is not a text", file, value.Line, name)
	}
	return value.Value, nil
}
