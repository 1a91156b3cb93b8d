// Package dial opens clients of servers on a network.
//
//	client, err := dial.Servers("cfg-1,cfg-2:1211", dial.WithFiles("service-data"))
//	defer client.Close()
//
// A client finds its servers, chooses among them, keeps on disk what it needs to start
// without them, and closes all of that with its Close. No function of this package
// connects or waits for a server.
//
// The parts are packages of their own: transport, transport/httptransport, namesrv and
// localfile. A program that needs them in another combination connects them itself and
// calls [diamond.NewClient].
//
// # Logging
//
// Unlike the parts, a client of this package logs by default: to [slog.Default], at level
// Warn and above what an operator must know, and at Info what ends it, or that the client
// has left a server for another one. [WithLogger] changes that. No record holds a content.
//
// # Closing
//
// Close first closes the client itself, as [diamond.Client] describes: it waits for
// listeners and callbacks, and writes the snapshots. Then it closes the connections to
// servers, and then the directory. It does so also if a listener is still running after
// the time limit, which is an error that names the keys.
package dial
