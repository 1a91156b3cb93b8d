package document

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parseProperties reads the format of java.util.Properties, in UTF-8: "key =
// value", "key: value" or "key value"; # and ! begin a comment; a backslash
// at the end of a line continues it, elsewhere it escapes.
func parseProperties(data []byte) (Node, error) {
	lines := splitLines(string(data))
	var all members
	for i := 0; i < len(lines); i++ {
		at := int32(i + 1)
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		line, i = joinContinued(line, lines, i)
		key, value := splitProperty(line)
		k, err := unescape(key)
		if err == nil {
			value, err = unescape(value)
		}
		switch {
		case err != nil:
			return Node{}, errorf(int(at), "not valid properties: %s", err.Error())
		case strings.Count(k, ".")+strings.Count(k, "[") >= MaxDepth:
			return Node{}, errorf(int(at), reasonDeep)
		case len(all.list) == MaxValues:
			return Node{}, errorf(int(at), reasonMany)
		}
		m := Member{Key: k, Line: at, Value: Node{Kind: String, Plain: true, Line: at, Text: value}}
		if err := all.add(m); err != nil {
			return Node{}, err
		}
	}
	if len(all.list) == 0 {
		return Node{}, nil
	}
	return Node{Kind: Properties, Line: all.list[0].Line, Members: all.list}, nil
}

// splitLines cuts text at \n, \r\n and \r.
func splitLines(text string) []string {
	if strings.Contains(text, "\r") {
		text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	}
	return strings.Split(text, "\n")
}

// joinContinued appends the continuation lines to line, which is lines[i]. It returns the
// index of the last of them.
func joinContinued(line string, lines []string, i int) (string, int) {
	if !continues(line) {
		return line, i
	}
	var b strings.Builder
	for continues(line) {
		b.WriteString(line[:len(line)-1])
		i++
		if i == len(lines) {
			return b.String(), i
		}
		line = strings.TrimLeft(lines[i], " \t\f")
	}
	b.WriteString(line)
	return b.String(), i
}

// continues reports whether line ends in an odd number of backslashes.
func continues(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// splitProperty cuts a line at its first unescaped separator.
func splitProperty(line string) (key, value string) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=: \t\f", rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	rest := strings.TrimLeft(line[end:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], " \t\f")
	}
	return line[:end], rest
}

// unescape resolves the escapes of a key or a value.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			break
		}
		if s[i] == 'u' {
			r, size, err := escapedRune(s[i-1:])
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			i += size - 2
			continue
		}
		if at := strings.IndexByte("tnrf", s[i]); at >= 0 {
			b.WriteByte("\t\n\r\f"[at])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// escapedRune reads a \u escape, or the two of a surrogate pair, at the start of s. size is
// its length in bytes.
func escapedRune(s string) (r rune, size int, err error) {
	r, ok := codeUnit(s)
	if !ok {
		return 0, 0, errorf(0, "a malformed \\u escape")
	}
	if !utf16.IsSurrogate(r) {
		return r, 6, nil
	}
	low, _ := codeUnit(s[6:])
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0, errorf(0, reasonSurrogate)
	}
	return r, 12, nil
}

// codeUnit reads \u and four hexadecimal digits.
func codeUnit(s string) (rune, bool) {
	if len(s) < 6 || s[:2] != `\u` {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}
