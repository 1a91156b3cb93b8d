// Package httpserve serves the routes of HTTP protocols in front of a server.
//
// A protocol is a package that declares a [Route] for each of its paths. A
// [Handler] does what all protocols have in common: it bounds the number, the memory
// and the time of requests and their bodies, keeps web pages out, parks polls on
// small stacks, and logs and observes requests. The package also has the readers and
// writers that several protocols use.
package httpserve
