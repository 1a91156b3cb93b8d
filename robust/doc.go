// Package robust is the harness that tries to break a cluster: seeded traffic
// and seeded faults, a record of every call, and validators that know nothing
// of the system and judge the record alone. It is a module of its own, so that
// what only tests need never reaches users of the library.
//
// README.md says how to run it, and how to run a failure again.
package robust
