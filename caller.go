package diamond

import "context"

// Principal is who asks, proven. The zero Principal is anonymous.
type Principal struct {
	Name string
}

// Caller is what a server transport has proven of a request: who sends it and
// from where.
type Caller struct {
	Principal Principal
	Address   string // host:port of the peer, or the client's behind a trusted proxy; "" in process
}

type callerKey struct{}

// WithCaller returns a context that carries caller. Only the server end of a
// transport calls it, after it has authenticated the request.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerFrom returns the caller that the transport proved, the zero Caller
// when the request did not cross one.
func CallerFrom(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}
