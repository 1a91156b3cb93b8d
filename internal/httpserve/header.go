package httpserve

import "net/http"

// Headers, in canonical form, so that the header map can be indexed directly.
const (
	hAuthenticate  = "Www-Authenticate"
	hCacheControl  = "Cache-Control"
	hConnection    = "Connection"
	hContentLength = "Content-Length"
	hContentType   = "Content-Type"
	hNosniff       = "X-Content-Type-Options"
	hRetryAfter    = "Retry-After"
)

// Header values that never change, made once: net/http does not alter them.
var (
	valueClose   = []string{"close"}
	valueNoStore = []string{"no-store"}
	valueNosniff = []string{"nosniff"}
	valueSchemes = []string{`Bearer realm="gdiamond", Basic realm="gdiamond"`}
)

// SetType sets the content type of an answer. It also sets headers so that browsers do not
// guess the type and caches do not keep the answer. Typ is one value, which answers may
// share.
func SetType(h http.Header, typ []string) {
	h[hContentType] = typ
	h[hNosniff] = valueNosniff
	h[hCacheControl] = valueNoStore
}

// CloseConnection makes net/http close the connection after the answer.
func CloseConnection(h http.Header) { h[hConnection] = valueClose }
