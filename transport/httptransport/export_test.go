package httptransport

import "net/http"

// Routes returns the names of the handler's routes.
func Routes(h http.Handler) []string {
	own := h.(*handler)
	names := []string{own.config.name, own.keyHistory.name, own.native.route, own.legacy.route}
	for name := range own.routes {
		names = append(names, name)
	}
	return names
}

// For the fuzz tests.
var (
	DecodePoll = decodePoll
	ParseProbe = parseProbe
)
