package dial

import (
	"path/filepath"
	"slices"
	"strings"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/localfile"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/tlsfile"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// nameServersFile is the file, in the directory of [WithFiles], with the last list of
// servers that a name server sent.
const nameServersFile = "name-servers"

// Servers returns a client of the servers at addrs: one or more addresses, separated by
// commas. An address is "host", "host:port" or an http or https URL, with a path if the
// server is mounted under one. The port of an address without a scheme is 1210 unless it
// is given. A URL without a port has that of its scheme. White space around an address
// is ignored.
//
// Servers does not connect, so it succeeds while no server can be reached. The client's
// first calls wait for servers as [diamond.Timeouts] says.
//
// The error is ErrInvalid, and names the address or option that is wrong, or one of
// [localfile.Open]. After an error nothing remains open.
func Servers(addrs string, opts ...Option) (diamond.Client, error) {
	list, err := split(addrs, "address")
	if err != nil {
		return nil, err
	}
	for _, addr := range list {
		if _, err := httptransport.New(addr); err != nil {
			return nil, err
		}
	}
	s := newSettings(opts)
	if err := s.readTLS(); err != nil {
		return nil, err
	}
	if err := s.checkTLS(list); err != nil {
		return nil, err
	}
	return s.open(transport.Static(list...))
}

// NameServers returns a client of the servers that the name servers at urls know, as
// [Servers] does. The default scheme of a URL is http, and without a scheme the default
// port is 8080. With [WithFiles] the client keeps the last list of servers in the
// directory, and starts from it while no name server can be reached.
//
// The client calls a server by https if it is registered as one that speaks TLS, and otherwise
// by http. But with [WithTLS] or [WithTLSFiles], or if the URL of a name server is https, it
// leaves out the servers without TLS and logs that: a list must not be able to make a client
// that expects TLS send its token, and take its values, in the clear. It needs no secret of
// the cluster, because it only reads lists.
func NameServers(urls string, opts ...Option) (diamond.Client, error) {
	list, err := split(urls, "name server")
	if err != nil {
		return nil, err
	}
	s := newSettings(opts)
	if err := s.readTLS(); err != nil {
		return nil, err
	}
	names, err := namesrv.NewClient(list, s.nameServers(list)...)
	if err != nil {
		return nil, err
	}
	return s.open(names)
}

// Resolver returns a client of the servers that r finds, as [Servers] does: for Consul,
// DNS, or a [namesrv.Client] with options of its own. Addresses have the form that
// Servers takes. One that is wrong is logged and left out. Close does not close r, but
// waits until a Resolve under way has returned.
func Resolver(r transport.Resolver, opts ...Option) (diamond.Client, error) {
	if r == nil {
		return nil, conf.Errorf(conf.ErrInvalid, "resolver: is nil")
	}
	s := newSettings(opts)
	if err := s.readTLS(); err != nil {
		return nil, err
	}
	return s.open(&checked{resolver: r, logger: s.logger})
}

// split returns the members of a list with commas. What is the word for one of them.
func split(list, what string) ([]string, error) {
	members := strings.Split(list, ",")
	for i, m := range members {
		if members[i] = strings.TrimSpace(m); members[i] == "" {
			return nil, conf.Errorf(conf.ErrInvalid, "%s %d: is empty", what, i+1)
		}
	}
	return members, nil
}

// checkTLS refuses a TLS configuration if no address uses it. Without that, a program whose
// addresses lack the scheme would not know that it sends everything in the clear.
func (s *settings) checkTLS(addrs []string) error {
	if s.givenTLS() && !slices.ContainsFunc(addrs, isHTTPS) {
		return conf.Errorf(conf.ErrInvalid, "WithTLS: no address begins with https://")
	}
	return nil
}

// isHTTPS reports whether addr is an https URL.
func isHTTPS(addr string) bool { return strings.HasPrefix(strings.ToLower(addr), "https://") }

// givenTLS reports whether an option says how TLS is to be.
func (s *settings) givenTLS() bool { return s.tls != nil || s.certs != nil }

// readTLS reads the files of WithTLSFiles, if any.
func (s *settings) readTLS() (err error) {
	if s.tlsFiles == (tlsfile.Files{}) {
		return nil
	}
	if s.tls != nil {
		return conf.Errorf(conf.ErrInvalid, "options: WithTLS and WithTLSFiles exclude each other")
	}
	s.certs, err = tlsfile.NewClient(s.tlsFiles, tlsfile.WithLogger(s.logger))
	return err
}

// nameServers returns the options of the client of the name servers at urls.
func (s *settings) nameServers(urls []string) []namesrv.ClientOption {
	opts := []namesrv.ClientOption{namesrv.WithLogger(s.logger)}
	if s.withFiles {
		opts = append(opts, namesrv.WithCacheFile(filepath.Join(s.dir, nameServersFile)))
	}
	if s.tls != nil {
		opts = append(opts, namesrv.WithTLS(s.tls))
	}
	if s.certs != nil {
		opts = append(opts, namesrv.WithTLSSource(s.certs.Config))
	}
	if s.givenTLS() || slices.ContainsFunc(urls, isHTTPS) {
		opts = append(opts, namesrv.WithOnlyTLS())
	}
	return opts
}

// open returns the client of the servers that r finds.
func (s *settings) open(r transport.Resolver) (_ diamond.Client, err error) {
	wire := s.http
	if s.tls != nil {
		wire = append([]httptransport.Option{httptransport.WithTLS(s.tls)}, wire...)
	}
	if s.certs != nil {
		wire = append([]httptransport.Option{httptransport.WithTLSSource(s.certs.Config)}, wire...)
	}
	if s.token != nil {
		wire = append([]httptransport.Option{httptransport.WithTokenLogger(s.logger), s.token}, wire...)
	}
	if _, err := httptransport.New("localhost", wire...); err != nil {
		return nil, err // of the options; otherwise each call would fail with it
	}
	opened := new(client)
	opts := append([]diamond.ClientOption{diamond.WithLogger(s.logger)}, s.client...)
	if s.withFiles {
		dir, err := localfile.Open(s.dir, append([]localfile.Option{localfile.WithLogger(s.logger)}, s.files...)...)
		if err != nil {
			return nil, err
		}
		opened.files = dir
		opts = append(opts, diamond.WithLocalFiles(dir))
	}
	balancer := transport.NewBalancer(r, httptransport.Dialer(wire...), transport.WithLogger(s.logger))
	opened.servers = balancer
	if opened.Client, err = diamond.NewClient(balancer, opts...); err != nil {
		_ = opened.closeParts() // err says what went wrong first
		return nil, err
	}
	return opened, nil
}
