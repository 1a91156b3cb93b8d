// Package httptransport carries [diamond.Transport] over HTTP: [New] is the
// client end, [NewHandler] the server end.
//
// The native protocol is served under /v1/. The files docs/http-api.md and
// api/openapi.yaml specify it, and a handler serves the latter at /openapi.yaml. The
// server end also serves the protocol of the original diamond under /diamond-server/, so
// that its clients publish, read and listen without a change.
package httptransport
