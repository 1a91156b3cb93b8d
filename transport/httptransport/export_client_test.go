package httptransport

// NewHTTPTransport returns what connections are made with by default.
var NewHTTPTransport = newHTTPTransport
