package httpserve

import (
	"net/http"
	"time"
)

// CertificateExpiry returns when the client certificate of r, which has been verified, stops
// being valid: itself, or a certificate of its chain. It is zero if there is none. Of several
// chains the one counts that is valid for longest.
func CertificateExpiry(r *http.Request) (until time.Time) {
	if r.TLS == nil {
		return until
	}
	for _, chain := range r.TLS.VerifiedChains {
		var first time.Time
		for _, c := range chain {
			if first.IsZero() || c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(until) {
			until = first
		}
	}
	return until
}
