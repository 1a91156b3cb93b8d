package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/internal/httpguard"
)

// access has the flags that say who may reach the listeners of a command.
type access struct {
	insecure bool
	hosts    []string
}

func accessFlags(cmd *cobra.Command) *access {
	a := &access{}
	f := cmd.Flags()
	f.BoolVar(&a.insecure, "insecure", false, "DANGEROUS: allow listening on addresses that other hosts can reach, though everybody may do everything; refused if the store is governed")
	listVar(f, &a.hosts, "allowed-host", httpguard.CheckHost, "DNS `NAME[,...]` by which clients may call this host, besides localhost and IP addresses; *.NAME allows all names below it")
	return a
}

// door is a flag with an address to listen on.
type door struct {
	*access
	flag    string
	address string
	danger  string // what anyone who can reach the address can do
	remedy  string // what prevents that, or ""
}

func newDoor(cmd *cobra.Command, flag, address, what string, access *access) *door {
	d := &door{access: access, flag: flag, danger: "publish, because it asks nobody for rights", remedy: "give --rights, "}
	cmd.Flags().StringVar(&d.address, flag, address, "`HOST:PORT` on which "+what+" listens")
	return d
}

// check refuses an invalid address, and one that other hosts can reach unless forAll
// is set.
func (d *door) check(forAll bool) error {
	if err := d.parse(); err != nil || forAll {
		return err
	}
	return d.exposed()
}

// parse refuses an invalid address.
func (d *door) parse() error {
	if _, _, err := net.SplitHostPort(d.address); err != nil {
		return usageError{fmt.Errorf("%s: %w", d.flag, err)}
	}
	return nil
}

// exposed refuses an address that other hosts can reach, unless --insecure is given.
func (d *door) exposed() error {
	host, _, _ := net.SplitHostPort(d.address)
	if ip := net.ParseIP(host); host == "localhost" || ip.IsLoopback() || d.insecure {
		return nil
	}
	return usageError{fmt.Errorf("%s: other hosts can reach %s, and anyone who can reach it can %s; "+
		"%slisten on a loopback address such as 127.0.0.1, or give --insecure", d.flag, d.address, d.danger, d.remedy)}
}

func (d *door) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", d.address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.flag, err)
	}
	return ln, nil
}

// loopbackOf returns the address by which this host can reach its own listener.
func loopbackOf(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return addr.String()
}
