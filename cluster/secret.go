package cluster

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

// Limits of secrets, in bytes, and of how many there may be at once.
const (
	MinSecret  = 16
	MaxSecret  = 1024
	MaxSecrets = 8
)

// minVariety is of how many different bytes a secret must be at least.
const minVariety = 6

// Secret is what the members of a cluster know: one secret, or several while it
// is being changed. The zero Secret is none. It cannot be compared, and nothing
// that prints it or writes it down shows more than that there is one.
type Secret struct {
	// Functions, so that nothing that walks through values gets to the bytes.
	summers []summer
}

// NewSecret returns the secret that is used, with others that are accepted too.
// Make one with "openssl rand -base64 32". Errors wrap ErrInvalid and hold no
// part of it: a secret is shorter than [MinSecret], longer than [MaxSecret], or one that
// can be guessed.
func NewSecret(used string, accepted ...string) (Secret, error) {
	var s Secret
	for i, text := range append([]string{used}, accepted...) {
		if why := weakness(text); why != "" {
			return Secret{}, diamond.Errorf(diamond.ErrInvalid, "cluster secret %d %s", i+1, why)
		}
		s.summers = append(s.summers, newSummer(text))
	}
	if len(s.summers) > MaxSecrets {
		return Secret{}, diamond.Errorf(diamond.ErrInvalid, "cluster secret: more than %d at once", MaxSecrets)
	}
	return s, nil
}

// IsZero reports whether s is no secret.
func (s Secret) IsZero() bool { return len(s.summers) == 0 }

// weakness says why text is no good secret, "" if it is one.
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

// published are secrets that stand in documents and programs, in plain form: whoever
// looks for an open door tries them first.
var published = map[string]bool{
	// The signing keys that Nacos shipped with, and that its manual shows.
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

// hidden stands for a secret wherever one would be shown.
const hidden = "[secret]"

// String returns a word that says nothing of s.
func (s Secret) String() string {
	if s.IsZero() {
		return "[none]"
	}
	return hidden
}

// Format implements fmt.Formatter with [Secret.String], whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// GoString implements fmt.GoStringer with [Secret.String].
func (s Secret) GoString() string { return s.String() }

// LogValue implements slog.LogValuer with [Secret.String].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, for JSON and YAML too, with [Secret.String].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
