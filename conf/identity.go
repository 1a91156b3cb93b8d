package conf

import "time"

// Identity says who the sender of a request is to a server.
type Identity struct {
	// Principal is the name of the caller, with its kind, such as "token:NAME". It is ""
	// for an anonymous caller.
	Principal string
	// Mode says how the server decides about rights: one of the Mode constants.
	Mode string
	// Expires is when the first of the valid secrets of the caller's token expires, or zero if
	// none does. The server does not keep by which of them the caller has proven itself.
	Expires time.Time
	// Teams are the names of the teams that the principal is in, sorted.
	Teams []string
}

// The modes of a server, in [Identity].
const (
	ModeOpen    = "open"    // everybody may do everything outside the system's namespaces
	ModeObserve = "observe" // rights are decided and logged, and nothing is refused
	ModeClosed  = "closed"  // what no right allows is refused
)

// CanRequest asks whether a principal has a right.
type CanRequest struct {
	Verb  string // list, read, write, release, administer or force
	Scope string // such as "all", "tenant:T", "environment:T:E" or "namespace:ID"
	As    string // the principal asked about, or "" for the caller; others need a right of the caller's
}

// CanResponse is the answer to a [CanRequest].
type CanResponse struct {
	Allowed bool
	Why     string // in words: the grant that allows it, or what is missing
}

// Proof is what a request brought to prove who sends it. The zero Proof, and one with
// nothing but an Address, is that of an anonymous caller. A request has at most one proof: a
// token or a certificate. The server end of a transport reads a Proof; what decides about
// rights says whether it is valid, and whose it is.
type Proof struct {
	// Token is the secret of a Bearer header, or the password of a Basic one. It must not
	// stand in a log or an error.
	Token string
	// User is the user name of a Basic header that has one. It proves nothing. If it names
	// a principal, such as "token:NAME", the token must be that principal's.
	User string
	// Names are the alternative names of the peer's certificate, each with its kind:
	// "dns:...", "uri:..." or "email:...", in the order of the certificate. The chain of the
	// certificate has been verified.
	Names []string
	// Address is the host:port of the peer, or of the client behind a trusted proxy.
	Address string
}

// Anonymous reports whether the request brought no proof.
func (p *Proof) Anonymous() bool { return p.Token == "" && len(p.Names) == 0 }
