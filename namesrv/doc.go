// Package namesrv has name servers, which keep the list of live servers, and their clients.
//
// A [Registry] is a name server: an HTTP handler that keeps leases in memory. Run several
// side by side; they do not talk to each other. A [Client] registers a server with all of
// them, and finds servers through any of them.
//
// # Protocol
//
//	GET    /v1/servers                 the servers, as JSON: ServerList
//	PUT    /v1/servers/{addr}?ttl=30s  register host:port, or renew its lease; with
//	                                   &scheme=https for a server that speaks TLS
//	DELETE /v1/servers/{addr}          unregister host:port, if it is registered
//	GET    /namesrv/addrs              the servers, in the form for the original diamond's clients
//	GET    /livez, /readyz
//
// The text form has one address on each line. It omits the port 1210, the only one that the
// original's clients know, and the servers that speak TLS, which those clients cannot. A list
// has up to [MaxServers] servers. Errors are JSON:
// {"error":{"code":"invalid","message":"..."}}.
//
// A name server that has just started does not know earlier leases. Until all of them must
// have been renewed, it marks its list as incomplete, and clients only add such a list to
// their last one. Until then it also answers 503 instead of an empty list in the text form.
//
// A registered server receives clients. So a registration needs a proof of the cluster's
// secret ([WithSecret]; package cluster has the protocol). Without a secret, servers can
// register only from the name server's machine, unless [WithInsecureRegistration] is given.
package namesrv
