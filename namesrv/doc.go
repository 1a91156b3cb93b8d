// Package namesrv says which servers are alive.
//
// A [Registry] is the name server: an HTTP handler that keeps leases in memory.
// Run several side by side; they know nothing of each other. A [Client]
// registers a server with all of them, and finds servers through any of them.
//
// # Protocol
//
//	GET    /v1/servers                 the servers, as JSON: ServerList
//	PUT    /v1/servers/{addr}?ttl=30s  register host:port, or renew its lease
//	DELETE /v1/servers/{addr}          unregister; that it is not there is fine
//	GET    /namesrv/addrs              the servers, as the original diamond's clients read them
//	GET    /livez, /readyz
//
// The text form has an address a line, without the port where that is 1210: the
// original's clients know no other. A list holds up to [MaxServers] servers.
// Errors are JSON: {"error":{"code":"invalid","message":"..."}}.
//
// A name server that has just started has forgotten all leases. Until they must
// have been renewed its list is incomplete, and says so: clients add it to what
// they had. As text, an empty one is refused with 503 for as long.
//
// Whoever registers gets the clients. So it takes a proof that one knows the
// cluster's secret ([WithSecret]; package cluster has the protocol); without a
// secret servers register from the machine of the name server, unless
// [WithInsecureRegistration] is given.
package namesrv
