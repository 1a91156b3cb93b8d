// Package httpserve serves the routes of HTTP protocols in front of a server.
//
// A protocol is a package that declares a [Route] for each of its paths. A
// [Handler] does for all protocols what they have in common: it bounds requests
// and their bodies in number, memory and time, keeps web pages out, parks polls on
// small stacks, and logs and observes requests. Here are also the readers and
// writers that several protocols use.
package httpserve
