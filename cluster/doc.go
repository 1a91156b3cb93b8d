// Package cluster says who belongs to a cluster: whoever knows its [Secret], and,
// where that is asked for, has a certificate.
//
// Servers register at name servers, and tell each other of changes, with
// requests that a [Signer] signs and a [Verifier] verifies. A request counts
// once, at one verifier, soon after it was signed; what was captured on the way
// is worth nothing. The secret itself never crosses the wire, and no clock has
// to be right.
//
// # Protocol
//
// A verifier has a random id for as long as it lives, and a clock: the
// milliseconds since it was made. It refuses with status 403 and
//
//	Diamond-Cluster-Challenge: id.time.mac
//
// where mac is HMAC-SHA256 over the words "gdiamond challenge 1", id and time.
// Who knows the secret sees by it that the verifier does too, and goes by the
// verifier's clock from then on. It sends the request again, and all later ones
// at once, with
//
//	Diamond-Cluster-Proof: id.time.nonce.mac
//
// where time is the verifier's, as far as the signer knows, nonce is random, and
// mac is HMAC-SHA256 over the words "gdiamond request 1", id, time, nonce, the
// method, the path as it is escaped below where the verifier is mounted, the
// query, and the SHA-256 of the body. In a MAC each part has its length
// before it, as 8 bytes, the most significant first; times are decimal, MACs base64url
// without padding.
//
// A request is refused when its MAC is not that of one of the verifier's
// secrets, its id not that of the verifier, its time more than [Window] away, or
// its nonce known. Nonces are known for longer than a time is good; when there
// is no room for more, requests are refused until there is.
//
// # Certificates
//
// What servers tell each other can have a listener of its own with TLS, where both
// ends show one of their [Certificates]; requests are signed there all the same.
//
// # Changing the secret
//
// A Secret may hold several: the first is used, all are accepted. Add the new one
// behind the old everywhere; put it first everywhere; take the old one away. At
// each step restart one process after the other: none is ever shut out.
package cluster
