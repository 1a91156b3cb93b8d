// Package cluster authenticates the members of a cluster. A member knows the cluster's
// [Secret] and, if required, has a certificate.
//
// Servers register at name servers, and nudge each other after commits, with requests that a
// [Signer] signs and a [Verifier] verifies. A request is valid once, at one verifier, for a
// short time after it was signed; a captured request is useless. The secret never crosses the
// wire, and no clock has to be correct.
//
// # Protocol
//
// A verifier has a random id, and a clock that counts the milliseconds since the verifier was
// created. It refuses a request with status 403 and
//
//	Diamond-Cluster-Challenge: id.time.mac
//
// where mac is HMAC-SHA256 over the words "gdiamond challenge 1", id and time. By the MAC, a
// signer with the secret sees that the verifier has it too, and then uses the verifier's
// clock. It sends the request again, and all later ones, with
//
//	Diamond-Cluster-Proof: id.time.nonce.mac
//
// where time is the verifier's time as estimated by the signer, nonce is random, and mac is
// HMAC-SHA256 over the words "gdiamond request 1", id, time, nonce, the method, the escaped
// path below the verifier's mount point, the query, and the SHA-256 of the body. In a MAC
// each part is preceded by its length in 8 bytes, most significant first. Times are decimal,
// and MACs base64url without padding.
//
// The verifier refuses a request if its MAC is not that of one of the verifier's secrets, its
// id is not the verifier's, its time differs by more than [Window], or its nonce was used
// before. Nonces are remembered for longer than a time is valid. If there is no room for
// more, requests are refused until there is.
//
// # Certificates
//
// Nudges between servers can have a separate listener with TLS, where both ends present one
// of their [Certificates]. Requests are still signed there.
//
// # Changing the secret
//
// A Secret may have several values: the first is used, all are accepted. Add the new value
// after the old one everywhere, then move it to the front everywhere, then remove the old one.
// At each step restart one process after the other. No process is locked out at any time.
package cluster
