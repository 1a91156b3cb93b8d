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
// A server registers from the machine of the name server unless
// [WithInsecureRegistration] is given: whoever registers gets the clients.
package namesrv
