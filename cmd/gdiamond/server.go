package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// The directory of the embedded store.
const (
	defaultData = "./gdiamond-data"
	dataUsage   = "`DIR` of the embedded store"
)

// serving has the flags that the commands that run a server share.
type serving struct {
	log           logging
	data          string
	advertise     string
	shutdownDelay time.Duration
	retention     storage.Retention
	rate          int
	limits        limits
	governing     governing
	tls           encryption
	proxying      proxying
	exposed       error // what is wrong with the address unless the store is governed, or nil
	shared        bool  // the store is in a database
	open          func() (*backend, error)
	options       []server.Option
}

func (s *serving) flags(cmd *cobra.Command) {
	s.log.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&s.data, "data", defaultData, dataUsage)
	f.StringVar(&s.advertise, "advertise", "", "`HOST:PORT` at which clients reach the server (default the listening address)")
	f.DurationVar(&s.shutdownDelay, "shutdown-delay", 0, "time to keep serving after a stop signal, so that load balancers notice")
	f.IntVar(&s.rate, "rate-limit", 0, "accept `N` client requests a second and tell the others to retry (default no limit)")
	s.limits.flags(cmd)
	s.governing.flags(cmd)
	s.tls.flags(cmd)
	s.proxying.flags(cmd)
	retentionFlags(cmd, &s.retention)
}

// check refuses invalid values, and the addresses of doors unless there are rights.
func (s *serving) check(doors ...*door) error {
	for _, d := range doors {
		if err := d.parse(); err != nil {
			return err
		}
		if err := s.governing.check(d.insecure); err != nil {
			return err
		}
		s.exposed = cmp.Or(s.exposed, d.exposed())
	}
	if s.exposed != nil && s.governing.ungoverned {
		return s.exposed
	}
	if err := checkDir("data", s.data); err != nil {
		return err
	}
	switch {
	case s.rate < 0:
		return usageError{fmt.Errorf("rate-limit: %d is less than 0", s.rate)}
	case s.shutdownDelay < 0:
		return usageError{fmt.Errorf("shutdown-delay: %s is less than 0", s.shutdownDelay)}
	}
	if s.advertise != "" {
		if _, _, err := net.SplitHostPort(s.advertise); err != nil {
			return usageError{fmt.Errorf("advertise: %w", err)}
		}
	}
	if err := s.limits.check(); err != nil {
		return err
	}
	if err := s.tls.check(); err != nil {
		return err
	}
	if err := s.proxying.check(); err != nil {
		return err
	}
	return checkRetention(s.retention)
}

// serverCommand has the flags of the command server.
type serverCommand struct {
	serving
	door       *door
	db         database
	migrate    bool
	membership membership
	peering    peering
}

func newServer() *cobra.Command {
	var c serverCommand
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a server, on the embedded store or on a MySQL-compatible database",
		Long: `Run a server, on the embedded store or on a MySQL-compatible database.

With --mysql several servers can share a database. Each keeps a copy of it in --data, from
which it serves reads while the database is down. The servers find each other through the
name servers or --peer, and notify each other of changes. A server accepts notifications
from other hosts only with --cluster-secret-file, or with certificates on --peer-listen.`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.start(cmd) },
	}
	c.door = newDoor(cmd, "listen", server.DefaultAddress, "the server", accessFlags(cmd))
	c.flags(cmd)
	cmd.Flags().Lookup("data").Usage = dataUsage + ", or with --mysql of the copy of the database"
	c.db.flags(cmd)
	cmd.Flags().BoolVar(&c.migrate, "migrate", false, "first create or update the schema in the database")
	c.membership.flags(cmd)
	c.peering.flags(cmd)
	return cmd
}

// start runs the server until the command's context ends.
func (c *serverCommand) start(cmd *cobra.Command) error {
	if err := c.check(c.door); err != nil {
		return err
	}
	if err := c.onDatabase(); err != nil {
		return err
	}
	logger := c.log.logger(cmd.ErrOrStderr())
	callers, err := c.tls.callers(c.membership.ca, logger)
	if err != nil {
		return err
	}
	names, secret, err := c.membership.join(callers, logger)
	if err != nil {
		return err
	}
	resolver := c.membership.resolver(names)
	if c.peering.given() {
		if err := c.peering.check(c.db.given(), resolver); err != nil {
			return err
		}
	}
	ln, err := c.door.listen(cmd.Context())
	if err != nil {
		return err
	}
	defer ln.Close()
	where := fmt.Sprintf("server %s://%s\n", c.tls.scheme(), ln.Addr())
	c.governing.login = c.tls.address(cmp.Or(c.advertise, loopbackOf(ln.Addr())))
	c.open = func() (*backend, error) { return embedded(c.data, c.retention, logger, c.engine()...) }
	if c.shared = c.db.given(); c.shared {
		c.open = func() (*backend, error) {
			return shared(cmd.Context(), &c.db, c.migrate, c.data, c.retention, logger, c.engine()...)
		}
		if resolver != nil {
			c.options = append(c.options, server.WithPeers(resolver, secret))
			if callers != nil {
				c.options = append(c.options, server.WithPeerClient(callers))
			}
		}
	}
	if c.peering.given() {
		peers, options, err := c.peering.listen(cmd.Context(), logger)
		if err != nil {
			return err
		}
		defer peers.Close()
		c.options = append(c.options, options...)
		where += fmt.Sprintf("peers https://%s\n", peers.Addr())
	}
	started := func(rights string) {
		fmt.Fprintf(cmd.OutOrStdout(), "%sdata %s\nrights %s\n", where, c.data, rights)
	}
	var registry server.Registry
	if names != nil {
		registry = names
	}
	return c.run(cmd.Context(), ln, c.door.access, registry, cmd.OutOrStdout(), logger, started)
}

// engine returns the options of the server below the rights.
func (s *serving) engine() []diamond.ServerOption {
	opts := []diamond.ServerOption{s.limits.server()}
	if s.governing.ungoverned {
		opts = append(opts, diamond.WithUngoverned())
	}
	return opts
}

// onDatabase refuses flags for a database if --mysql is missing: the server would start
// on the embedded store instead.
func (c *serverCommand) onDatabase() error {
	if c.db.given() {
		return nil
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"mysql-password-file", c.db.passwordFile != ""}, {"migrate", c.migrate}, {"peer", len(c.membership.peers) > 0},
	} {
		if f.given {
			return usageError{fmt.Errorf("%s: needs --mysql", f.name)}
		}
	}
	return nil
}

// run runs a server on ln until ctx ends. It calls started with the state of the rights once
// nothing can prevent the server from serving. A setup token is printed to out.
func (s *serving) run(ctx context.Context, ln net.Listener, access *access, registry server.Registry, out io.Writer, logger *slog.Logger, started func(rights string)) (err error) {
	defer ln.Close()
	if s.exposed != nil && s.governing.mode == "" && !s.shared && !hasStore(s.data) {
		return s.exposed // before anything is begun
	}
	certs, err := s.tls.open(logger)
	if err != nil {
		return err
	}
	if certs != nil {
		s.options = append(s.options, server.WithTLS(certs.Config()))
	}
	s.options = append(s.options, s.proxying.options()...)
	pages, err := s.governing.listenPages(ctx)
	if err != nil {
		return err
	}
	if pages != nil {
		defer pages.Close()
		s.options = append(s.options, server.WithPagesListener(pages))
	}
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() && registry != nil && s.advertise == "" {
		return usageError{fmt.Errorf("advertise: clients cannot use the listening address %s; give the server's address", ln.Addr())}
	}
	b, err := s.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	c, err := s.governing.open(ctx, b, s.data, nameOfNode(s.advertise, ln.Addr().String()), access.insecure, s.exposed, s.limits.centre(), out, logger)
	if err != nil {
		return err
	}
	if certs == nil && s.exposed != nil && !strings.HasPrefix(s.proxying.external, "https://") {
		logger.Warn("other hosts reach the server over plain HTTP, in which tokens and contents can be read on their way; give --tls-cert and --tls-key, or let only a proxy with TLS reach it")
	}
	c.run(ctx)
	defer c.end()
	options := append(s.options, server.WithListener(ln), server.WithLogger(logger), server.WithShutdownDelay(s.shutdownDelay), s.limits.node(), server.WithCheck("rights", c.check),
		server.WithTransport(append(s.limits.handler(), httptransport.WithAllowedHosts(access.hosts...))...))
	if s.rate > 0 {
		options = append(options, server.WithAdmission(s.rate, s.rate))
	}
	if registry != nil {
		options = append(options, server.WithRegistry(registry, s.advertise))
	}
	adminCtx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	var admin sync.WaitGroup
	// The socket exists before started announces the server.
	if admins := listenAdmin(adminCtx, s.data, logger); admins != nil {
		admin.Go(func() { serveAdmin(adminCtx, admins, b.local, logger) })
	}
	defer admin.Wait()
	defer stopAdmin()
	if pages != nil {
		fmt.Fprintf(out, "metrics http://%s\n", pages.Addr())
	}
	started(c.rights)
	return server.NewNode(c.srv, options...).Run(ctx)
}
