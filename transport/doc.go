// Package transport holds what all transports share: where servers are
// ([Resolver]), the choice among them ([NewBalancer]), and the one table between
// errors and their codes on the wire ([Encode], [Decode]).
package transport
