package conf

import (
	"context"
	"time"
)

// Principal is the authenticated sender of a request. The zero Principal is anonymous.
type Principal struct {
	Name string
}

// Caller describes the sender of a request. The server end of a transport proves it.
type Caller struct {
	Principal Principal
	Address   string // host:port of the peer, or of the client behind a trusted proxy; "" in process
}

type callerKey struct{}

// WithCaller returns a context that carries caller. Only the server end of a
// transport calls it, after it has authenticated the request.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerFrom returns the caller that the transport proved, or the zero Caller if the
// request did not cross a transport.
func CallerFrom(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}

type provenKey struct{}

// WithProvenUntil returns a context that says when the proof of its caller expires, such as a
// certificate. A server answers by then who waits, so that the caller must prove itself again.
func WithProvenUntil(ctx context.Context, until time.Time) context.Context {
	return context.WithValue(ctx, provenKey{}, until)
}

// ProvenUntil returns what [WithProvenUntil] has set, or zero.
func ProvenUntil(ctx context.Context) time.Time {
	until, _ := ctx.Value(provenKey{}).(time.Time)
	return until
}

// Limits of a [ClientInfo]. Every request carries one in a header.
const (
	maxClientID    = 256 // bytes
	maxClientField = 128 // bytes of App and Version
	maxLabels      = 48
	maxLabelName   = 64   // bytes
	maxLabelValue  = 256  // bytes
	maxClientInfo  = 4096 // bytes of all together
)

// ClientInfo describes a client in its own words. It grants no rights.
type ClientInfo struct {
	ID      string            // the same after a restart, stored beside the snapshots; at most 256 bytes
	App     string            // the application's name; at most 128 bytes
	Version string            // the application's version; at most 128 bytes
	Labels  map[string]string // such as zone or canary; at most 48, names of 64 bytes, values of 256
}

// Validate reports everything that is wrong with c: fields that are too long,
// contain control characters or are not UTF-8, and a total of more than 4096 bytes.
// Servers reject the requests of such a client. Errors wrap [ErrInvalid].
func (c *ClientInfo) Validate() error {
	var p problems
	total := 0
	check := func(field, s string, most int) {
		total += len(s)
		switch {
		case len(s) > most:
			p.add("%s: %d bytes, more than %d", field, len(s), most)
		case !isPlain(s):
			p.add("%s: holds control characters or is not UTF-8", field)
		}
	}
	check("client id", c.ID, maxClientID)
	check("app", c.App, maxClientField)
	check("version", c.Version, maxClientField)
	if len(c.Labels) > maxLabels {
		p.add("labels: %d, more than %d", len(c.Labels), maxLabels)
		return p.err() // do not look into any number
	}
	for name, value := range c.Labels {
		check("name of a label", name, maxLabelName)
		check("value of a label", value, maxLabelValue)
	}
	if total > maxClientInfo {
		p.add("client: %d bytes, more than %d", total, maxClientInfo)
	}
	return p.err()
}
