// Package server hosts a [diamond.Server] on a network.
//
// A [Node] listens, registers itself with name servers, answers health checks, exports
// metrics, and drains, so that a planned shutdown fails no request. The server alone
// decides about configurations.
//
//	srv, err := diamond.NewServer(store)
//	...
//	err = server.NewNode(srv, server.WithAddress(":1210")).Run(ctx)
//
// Besides the protocols of transport/httptransport a node answers:
//
//   - /livez, alias /healthz: 200 while the process can answer at all.
//   - /readyz: 200 when reads can be served, whatever the storage does; 503
//     while nothing is loaded, and from the first moment of a shutdown. With
//     ?verbose, one line for each check.
//   - /v1/peer/nudge: nudges of the other servers of its cluster, with [WithPeers];
//     with [WithPeerListener], on a listener of their own.
//   - /metrics: Prometheus.
//   - /version: the [BuildInfo], as JSON.
package server
