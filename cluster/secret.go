package cluster

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/privatefile"
)

// Limits of secrets, in bytes, and of their number.
const (
	MinSecret  = 16
	MaxSecret  = 1024
	MaxSecrets = 8
)

// minVariety is the smallest number of different bytes in a secret.
const minVariety = 6

// Secret is the shared secret of a cluster's members. It has one value, or several while it
// is being changed. The zero Secret has none. A Secret cannot be compared, and nothing that
// prints or encodes it shows its value.
type Secret struct {
	// summers are functions, so that reflection cannot reach the bytes.
	summers []summer
}

// NewSecret returns a secret with the value used, and other values that are accepted too.
// Create one with "openssl rand -base64 32". Errors wrap ErrInvalid if a value is shorter than
// [MinSecret], longer than [MaxSecret], or can be guessed. They contain no part of it.
func NewSecret(used string, accepted ...string) (Secret, error) {
	var s Secret
	for i, text := range append([]string{used}, accepted...) {
		if why := weakness(text); why != "" {
			return Secret{}, conf.Errorf(conf.ErrInvalid, "cluster secret %d %s", i+1, why)
		}
		s.summers = append(s.summers, newSummer(text))
	}
	if len(s.summers) > MaxSecrets {
		return Secret{}, conf.Errorf(conf.ErrInvalid, "cluster secret: more than %d at once", MaxSecrets)
	}
	return s, nil
}

// IsZero reports whether s has no value.
func (s Secret) IsZero() bool { return len(s.summers) == 0 }

// weakness returns the reason why text is a weak secret, or "" if it is not.
func weakness(text string) string {
	variety := map[byte]bool{}
	for i := range len(text) {
		variety[text[i]] = true
	}
	switch {
	case len(text) < MinSecret:
		return fmt.Sprintf("is shorter than %d bytes", MinSecret)
	case len(text) > MaxSecret:
		return fmt.Sprintf("is longer than %d bytes", MaxSecret)
	case len(variety) < minVariety:
		return fmt.Sprintf("has fewer than %d different bytes", minVariety)
	case published[plain(text)]:
		return "is one that everybody knows"
	}
	return ""
}

// plain returns the letters and digits of text, in lower case.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(text))
}

// published has secrets from documents and programs, in plain form. Attackers try them first.
var published = map[string]bool{
	// The signing keys in Nacos's releases and manual.
	"secretkey012345678901234567890123456789012345678901234567890123456789": true,
	"vghpc0lztxlddxn0b21tzwnyzxrlzxkwmtizndu2nzg":                           true,
	"thisismycustomsecretkey012345678":                                      true,

	"0123456789abcdef":                 true,
	"0123456789abcdef0123456789abcdef": true,
	"1234567890123456":                 true,
	"12345678901234567890123456789012": true,
	"abcdefghijklmnop":                 true,
	"abcdefghijklmnopqrstuvwxyz":       true,
	"changemechangeme":                 true,
	"changemechangemechangeme":         true,
	"changeitchangeit":                 true,
	"correcthorsebatterystaple":        true,
	"passwordpassword":                 true,
	"password12345678":                 true,
	"qwertyuiopasdfgh":                 true,
	"supersecretsecret":                true,
	"thisisnotasecret":                 true,
	"mysupersecretkey":                 true,
	"myclustersecret1":                 true,
	"clustersecretchangeme":            true,
	"changethisclustersecret":          true,
	"yourclustersecret":                true,
	"yourclustersecrethere":            true,
	"gdiamondclustersecret":            true,
	"diamondclustersecret":             true,
}

// hidden replaces a secret wherever one would be shown.
const hidden = "[secret]"

// String returns a fixed word.
func (s Secret) String() string {
	if s.IsZero() {
		return "[none]"
	}
	return hidden
}

// Format implements fmt.Formatter with [Secret.String] for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// GoString implements fmt.GoStringer with [Secret.String].
func (s Secret) GoString() string { return s.String() }

// LogValue implements slog.LogValuer with [Secret.String].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, for JSON and YAML too, with [Secret.String].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ReadSecret reads a secret from the file at path, with one value on each line: the first is
// used, all are accepted. Line ends and empty lines are ignored; everything else counts,
// including blanks. Errors wrap ErrInvalid if the file can be read but not used: everybody on
// the machine may read it, or [NewSecret] refuses its content.
func ReadSecret(path string) (Secret, error) {
	body, err := privatefile.Read("cluster secret", path, MaxSecrets*(MaxSecret+2))
	if err != nil {
		return Secret{}, err
	}
	var lines []string
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return Secret{}, conf.Errorf(conf.ErrInvalid, "cluster secret file %+q: is empty", path)
	}
	return NewSecret(lines[0], lines[1:]...)
}
