// Package transporttest helps to test transports, and programs that use one. [Run] is the
// conformance suite of [diamond.Transport]. [Faulty] is a transport that fails on command.
package transporttest
