package server_test

import (
	"context"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/cluster"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/tlsfile"
)

// A server of a cluster on one database: it finds the others through the name
// servers, and they tell each other of changes. Copy the body into a main; store is
// the shared storage, such as storage/mysqlstore has.
func Example_cluster() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var store diamond.Storage = memstore.New()
	defer store.Close()
	secret, err := cluster.ReadSecret("/etc/gdiamond/cluster-secret")
	if err != nil {
		log.Fatal(err)
	}
	names, err := namesrv.NewClient([]string{"http://10.0.0.1:8080", "http://10.0.0.2:8080"}, namesrv.WithSecret(secret))
	if err != nil {
		log.Fatal(err)
	}
	srv, err := diamond.NewServer(store)
	if err != nil {
		log.Fatal(err)
	}
	node := server.NewNode(srv, server.WithAddress("10.0.0.11:1210"), server.WithRegistry(names, ""), server.WithPeers(names, secret))
	if err := node.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// Nudges on a listener of their own: the options for it, beside those of
// Example (Cluster).
func ExampleWithPeerListener() {
	certs, err := cluster.ReadCertificates(tlsfile.Files{
		Cert: "/etc/gdiamond/peer.pem", Key: "/etc/gdiamond/peer-key.pem", CA: "/etc/gdiamond/peer-ca.pem",
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", "10.0.0.11:1211") // the port is the same on all servers
	if err != nil {
		log.Fatal(err)
	}
	_ = []server.Option{
		server.WithPeerListener(ln, certs.ServerConfig()),
		server.WithPeerClient(&http.Client{Transport: certs.Transport()}),
	}
}
