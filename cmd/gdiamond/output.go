package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	diamond "github.com/linnaname/gdiamond"
)

// format is the output format of a command, and a flag's value.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
)

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }

func (f *format) Set(s string) error {
	switch v := format(s); v {
	case formatTable, formatJSON, formatYAML:
		*f = v
		return nil
	}
	return fmt.Errorf("%q is not table, json or yaml", s)
}

// write writes v as JSON or YAML.
func (f format) write(w io.Writer, v any) error {
	if f == formatYAML {
		enc := yaml.NewEncoder(w)
		enc.SetIndent(2)
		if err := enc.Encode(v); err != nil {
			return err
		}
		return enc.Close()
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// writeOne writes v as an element of a stream: a line of JSON, or a YAML document.
func (f format) writeOne(w io.Writer, v any) error {
	if f == formatYAML {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		return f.write(w, v)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table writes rows under a heading, in columns.
func table(w io.Writer, heading string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, strings.ReplaceAll(heading, " ", "\t"))
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// keyOut is a key as it is written.
type keyOut struct {
	Namespace string `json:"namespace" yaml:"namespace"`
	Group     string `json:"group" yaml:"group"`
	DataID    string `json:"dataId" yaml:"dataId"`
}

func outKey(k diamond.Key) keyOut { return keyOut{k.Namespace, k.Group, k.DataID} }

// entryOut is an entry as it is written. A content that is not UTF-8 is in
// ContentBase64; both are nil where contents are left out.
type entryOut struct {
	keyOut        `yaml:",inline"`
	Revision      int64             `json:"revision" yaml:"revision"`
	Type          string            `json:"type,omitempty" yaml:"type,omitempty"`
	MD5           string            `json:"md5" yaml:"md5"`
	Size          int64             `json:"size" yaml:"size"`
	Modified      time.Time         `json:"modified" yaml:"modified"`
	Meta          map[string]string `json:"meta,omitempty" yaml:"meta,omitempty"`
	Content       *string           `json:"content,omitempty" yaml:"content,omitempty"`
	ContentBase64 *string           `json:"contentBase64,omitempty" yaml:"contentBase64,omitempty"`
	// Stale is the time since the server last reached its storage, such as "12s".
	Stale string `json:"stale,omitempty" yaml:"stale,omitempty"`
}

func outEntry(e diamond.Entry, contents bool) entryOut {
	out := entryOut{
		keyOut: outKey(e.Key), Revision: e.Revision, Type: e.Type, MD5: e.MD5, Size: e.Size,
		Modified: e.Modified, Meta: e.Meta,
	}
	switch {
	case !contents:
	case utf8.ValidString(e.Content):
		out.Content = &e.Content
	default:
		encoded := base64.StdEncoding.EncodeToString([]byte(e.Content))
		out.ContentBase64 = &encoded
	}
	return out
}

// changeOut is a change in the output.
type changeOut struct {
	Revision int64  `json:"revision" yaml:"revision"`
	Op       string `json:"op" yaml:"op"`
	keyOut   `yaml:",inline"`
	Type     string            `json:"type,omitempty" yaml:"type,omitempty"`
	MD5      string            `json:"md5,omitempty" yaml:"md5,omitempty"`
	Size     int64             `json:"size" yaml:"size"`
	Meta     map[string]string `json:"meta,omitempty" yaml:"meta,omitempty"`
	Author   string            `json:"author,omitempty" yaml:"author,omitempty"`
	Address  string            `json:"address,omitempty" yaml:"address,omitempty"`
	Comment  string            `json:"comment,omitempty" yaml:"comment,omitempty"`
	Origin   string            `json:"origin,omitempty" yaml:"origin,omitempty"`
	Time     time.Time         `json:"time" yaml:"time"`
	// Position is where a later watch can resume. Only the last change of each answer
	// has it.
	Position string `json:"position,omitempty" yaml:"position,omitempty"`
}

func outChange(c diamond.Change) changeOut {
	return changeOut{
		Revision: c.Revision, Op: c.Op.String(), keyOut: outKey(c.Key), Type: c.Type, MD5: c.MD5, Size: c.Size,
		Meta: c.Meta, Author: c.Author.Name, Address: c.Address, Comment: c.Comment, Origin: c.Origin, Time: c.Time,
	}
}

// reachedOut is how far a watch has seen the changes of a store, in the output. Nothing
// matched what it watches since the record before.
type reachedOut struct {
	Op       string `json:"op" yaml:"op"` // "position"
	Position string `json:"position" yaml:"position"`
}

// positionOut is the result of a change in the output.
type positionOut struct {
	keyOut   `yaml:",inline"`
	Op       string `json:"op" yaml:"op"`
	Revision int64  `json:"revision" yaml:"revision"`
	Position string `json:"position" yaml:"position"`
	// Restored is the revision whose value a rollback published again.
	Restored int64 `json:"restored,omitempty" yaml:"restored,omitempty"`
}

func shortTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// dash returns "-" for an empty cell of a table.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
