package document

import (
	"bytes"
	"strings"
)

// Blank reports whether data has no value in format: it is empty, or has only white space,
// comments or a null. In an unknown format only white space is blank. Blank reads only up to
// the first value. If it returns true, Parse returns ErrNothing or refuses data for another
// reason.
func Blank(format string, data string) bool {
	rest := strings.TrimPrefix(data, "\ufeff")
	comments := map[string]string{"yaml": "#", "toml": "#", "properties": "#!"}[format]
	nulls := map[string][]string{"json": {"null"}, "yaml": {"null", "Null", "NULL", "~"}}[format]
	null := false
	for rest != "" {
		end := strings.IndexAny(rest, "\r\n")
		if end < 0 {
			end = len(rest) - 1
		}
		line := strings.TrimSpace(rest[:end+1])
		rest = rest[end+1:]
		if format == "yaml" {
			line = withoutMarks(line)
		}
		switch {
		case line == "" || strings.ContainsAny(line[:1], comments):
		case !null && contains(nulls, line):
			null = true
		default:
			return false
		}
	}
	return true
}

// withoutMarks removes document markers and a final comment from a line of YAML.
func withoutMarks(line string) string {
	if line == "..." {
		return ""
	}
	if after, ok := strings.CutPrefix(line, "---"); ok && (after == "" || after[0] == ' ' || after[0] == '\t') {
		line = strings.TrimSpace(after)
	}
	if i := strings.Index(line, " #"); i > 0 {
		line = strings.TrimSpace(line[:i])
	}
	return line
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// position returns the line and the column of the byte at offset.
func position(data []byte, offset int) (line, column int) {
	offset = min(max(offset, 0), len(data))
	before := data[:offset]
	return 1 + bytes.Count(before, []byte("\n")), offset - bytes.LastIndexByte(before, '\n')
}
