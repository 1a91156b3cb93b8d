package httptransport

import (
	"bytes"
	"net/http"

	diamond "github.com/linnaname/gdiamond"
)

// Routes returns the names of the handler's routes.
func Routes(h http.Handler) []string {
	own := h.(*handler)
	names := []string{own.config.name, own.keyHistory.name, own.native.route, own.legacy.route}
	for name := range own.routes {
		names = append(names, name)
	}
	return names
}

// MemoryHeld returns how many bytes of their budget bodies hold.
func MemoryHeld(h http.Handler) int64 { return h.(*handler).memory.Used() }

// For the fuzz tests.

func DecodePoll(raw []byte) (*diamond.PollRequest, error) {
	return decodePoll(bytes.NewReader(raw), func(int64) error { return nil })
}

func RepeatedPoll(raw []byte) *diamond.PollRequest { return repeatedPoll(raw) }

func ParseProbe(probe string) ([]diamond.Held, error) {
	return parseProbe(probe, func(int64) error { return nil })
}
