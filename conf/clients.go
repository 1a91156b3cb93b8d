package conf

import "time"

// Client is a client that polls a server, as the server knows it.
type Client struct {
	ClientInfo        // in the client's own words, which prove nothing; without an ID if it gives none
	Name       string // under which it is listed, for After in the request for the next page
	Principal  string // that it has proven to be, or "" if it is anonymous
	Address    string // host:port from which it polled last; "" in process
	Node       string // the server that it polls; "" in process
	Keys       int    // of the namespace that was asked about, or of all, that it polls and may read; 0 in a Listener
	Revision   int64  // up to which it knew these keys when it polled last, or 0 if it knew none
	// Seen is when its last poll began or ended, by the clock of the server that it polls. It
	// is zero if the server knows nothing of the client but its reports. Polling says that a
	// poll of it is under way. A client that does not poll is forgotten after 5 minutes.
	Seen    time.Time
	Polling bool
}

// ClientsRequest asks for a page of the clients that poll.
type ClientsRequest struct {
	Namespace string // only clients that poll keys of it; "" for all
	After     string // the Next of the page before, or "" for the first page
	Limit     int    // maximum number of clients, or 0 for 100; a server returns at most MaxPage
	Local     bool   // only those that poll the server that answers, without asking the others of its cluster
}

// ClientsResponse is a page of clients, in the order of their names.
type ClientsResponse struct {
	Clients []Client
	Next    string // After in the request for the next page, or "" if this is the last
	// Polling is the number of clients that match the request, on all pages, and that have a
	// poll under way.
	Polling int
	Missing []MissingNode // servers whose clients are missing, or some of them
}

// Listener is a client that polls a key, with its last report about the key.
type Listener struct {
	Client
	// Reported is the revision that the last report is about, or 0 if there is none. Applied
	// says that all listeners of the client have applied it. Otherwise the client has
	// rejected it, and Reason says why: it is that of the [Report].
	Reported   int64
	Applied    bool
	Reason     string
	ReportedAt time.Time // by the clock of the server that took the report
}

// ListenersRequest asks for a page of the clients that poll a key.
type ListenersRequest struct {
	Key   Key
	After string // as in ClientsRequest
	Limit int    // as in ClientsRequest
	Local bool   // as in ClientsRequest
}

// ListenersResponse is a page of listeners, in the order of their names. A client that polls
// several servers is listed once.
type ListenersResponse struct {
	Listeners []Listener
	Next      string        // as in ClientsResponse; the page may then even be empty
	Polling   int           // as in ClientsResponse
	Revision  int64         // of the key at the server that answers, or 0 if it does not exist
	Missing   []MissingNode // as in ClientsResponse
}

// MissingNode is a server whose part of an answer is missing, so that the answer is partial.
type MissingNode struct {
	Node   string `json:"node,omitempty" yaml:"node,omitempty"` // its address, as in Client
	Reason string `json:"reason" yaml:"reason"`                 // in words
}
