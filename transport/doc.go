// Package transport contains the parts that all transports share: the interface that
// finds servers ([Resolver]), the choice among them ([NewBalancer]), and the table of
// errors and their codes on the wire ([Encode], [Decode]).
package transport
