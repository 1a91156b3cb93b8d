package httpserve

import (
	"strings"

	"github.com/linnaname/gdiamond/internal/redact"
)

// Clip shortens a text of a peer, and replaces what could break a log line and what may be the
// secret of a token.
func Clip(s string) string {
	const most = 512
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, redact.Tokens(s))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
