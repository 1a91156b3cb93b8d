package httptransport

import (
	"bytes"
	"net/http"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// Routes returns the names of the handler's routes.
func Routes(h http.Handler) (names []string) {
	for _, r := range h.(*httpserve.Handler).Routes {
		names = append(names, r.Name)
	}
	return names
}

// Rights returns the rights of the handler's routes, by method and path as the documents
// write them.
func Rights(h http.Handler) map[string]string {
	rights := make(map[string]string)
	for _, r := range h.(*httpserve.Handler).Routes {
		for _, method := range r.Methods() {
			rights[method+" "+r.Name] = string(r.Right)
		}
	}
	return rights
}

// MemoryHeld returns how many bytes of their budget bodies hold.
func MemoryHeld(h http.Handler) int64 { return h.(*httpserve.Handler).Memory.Used() }

// DecodePoll is for the fuzz tests.
func DecodePoll(raw []byte) (*conf.PollRequest, error) {
	return decodePoll(bytes.NewReader(raw), func(int64) error { return nil })
}

func RepeatedPoll(raw []byte) *conf.PollRequest { return repeatedPoll(raw) }
