// Package redact hides secrets that somebody has put where they do not belong, such as in the
// path of a request, before that is written to a log.
package redact

import "regexp"

// tokens matches what may be the secret of a token, or most of one: the prefix of all of
// them, and at least 20 of their 43 characters.
var tokens = regexp.MustCompile(`gd_[A-Za-z0-9_-]{20,}`)

// Tokens returns s with gd_*** in the place of everything that may be the secret of a token.
// It costs little if there is none. It is safe for concurrent use.
func Tokens(s string) string { return tokens.ReplaceAllString(s, "gd_***") }
