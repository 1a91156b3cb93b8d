// Package httptransport carries [diamond.Transport] over HTTP: [New] is the
// client end, [NewHandler] the server end.
//
// The native protocol lives under /v1/ and is specified in docs/http-api.md
// and api/openapi.yaml; a handler serves the latter at /openapi.yaml. The
// server end also speaks the protocol of the original diamond under
// /diamond-server/, so that its clients publish, read and listen unmodified.
package httptransport
