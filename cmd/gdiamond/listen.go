package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/internal/httpguard"
)

// access says whom the doors of a command are open to.
type access struct {
	insecure bool
	hosts    []string
}

func accessFlags(cmd *cobra.Command) *access {
	a := &access{}
	f := cmd.Flags()
	f.BoolVar(&a.insecure, "insecure", false, "listen on addresses that other hosts can reach, though nothing asks who publishes")
	listVar(f, &a.hosts, "allowed-host", httpguard.CheckHost, "DNS `NAME[,...]` by which clients may call this host, beside localhost and IP addresses; *.NAME stands for all below it")
	return a
}

// door is a flag that says where to listen.
type door struct {
	*access
	flag    string
	address string
	danger  string // who reaches it can do this
}

func newDoor(cmd *cobra.Command, flag, address, what string, access *access) *door {
	d := &door{access: access, flag: flag, danger: "publish, for nothing asks for permissions yet"}
	cmd.Flags().StringVar(&d.address, flag, address, "`HOST:PORT` "+what+" listens on")
	return d
}

// check refuses an address that is none, and one that other hosts can reach,
// unless they may.
func (d *door) check(forAll bool) error {
	host, _, err := net.SplitHostPort(d.address)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", d.flag, err)}
	}
	if ip := net.ParseIP(host); host == "localhost" || ip.IsLoopback() || forAll {
		return nil
	}
	return usageError{fmt.Errorf("%s: other hosts can reach %s, and whoever reaches it can %s; "+
		"listen on a loopback address such as 127.0.0.1, or give --insecure", d.flag, d.address, d.danger)}
}

func (d *door) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", d.address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.flag, err)
	}
	return ln, nil
}

// loopbackOf returns the address by which this host reaches a listener of its own.
func loopbackOf(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return addr.String()
}
