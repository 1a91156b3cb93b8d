package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/server"
)

// proxying has the flags of a server behind a proxy.
type proxying struct {
	trusted  []string
	external string
}

func (p *proxying) flags(cmd *cobra.Command) {
	listVar(cmd.Flags(), &p.trusted, "trusted-proxy", checkNetwork, "`CIDR[,...]` of proxies whose X-Forwarded-For header says who the client is (default none: no header is believed)")
	cmd.Flags().StringVar(&p.external, "external-url", "", "`URL` by which the server is called through a proxy; its host is an allowed one")
}

// networkOf returns the network of a value of --trusted-proxy: a CIDR, or one address.
func networkOf(value string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(value); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	network, err := netip.ParsePrefix(value)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither a network such as 10.0.0.0/24 nor an address", value)
	}
	return network.Masked(), nil
}

// checkNetwork refuses an invalid value of --trusted-proxy.
func checkNetwork(value string) error {
	_, err := networkOf(value)
	return err
}

// check refuses an invalid URL.
func (p *proxying) check() error {
	if p.external == "" {
		return nil
	}
	if u, err := url.Parse(p.external); err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usageError{errors.New("external-url: is not an http or https URL with a host")}
	}
	return nil
}

// options returns those of the server.
func (p *proxying) options() (opts []server.Option) {
	for _, value := range p.trusted {
		if network, err := networkOf(value); err == nil { // the flag has checked it
			opts = append(opts, server.WithTrustedProxies(network))
		}
	}
	if p.external != "" {
		opts = append(opts, server.WithExternalURL(p.external))
	}
	return opts
}
