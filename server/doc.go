// Package server hosts a [diamond.Server] on a network.
//
// A [Node] listens, registers itself where clients look for servers, answers
// health checks, counts, and drains: planned work fails no request. It decides
// nothing about configurations; that is the server's.
//
//	srv, err := diamond.NewServer(store)
//	...
//	err = server.New(srv, server.WithAddress(":1210")).Run(ctx)
//
// Beside the protocols of transport/httptransport a node answers:
//
//   - /livez, alias /healthz: 200 while the process can answer at all.
//   - /readyz: 200 when reads can be served, whatever the storage does; 503
//     while nothing is loaded, and from the first moment of a shutdown. With
//     ?verbose, one line for each thing looked at.
//   - /v1/peer/nudge: the other servers of its cluster, where [WithPeers] is
//     given; with [WithPeerListener] on a listener of their own.
//   - /metrics: Prometheus.
//   - /version: what was built, as JSON.
package server
