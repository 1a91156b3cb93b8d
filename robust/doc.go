// Package robust is a harness that tries to break a cluster. It generates traffic and faults
// from a seed, records every call, and checks the recording with validators that do not use
// the system. It is a separate module, so that users of the library do not get its
// dependencies.
//
// README.md describes how to run it, and how to reproduce a failure.
package robust
