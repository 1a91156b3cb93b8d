package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
)

// centre is a server with what decides who may do what there.
type centre struct {
	srv    diamond.Server
	marker *govern.Marker // of the store, or nil if it is not governed, or not known to be
	rights string         // how the rights stand, for the greeting

	mode  func() string // the present mode, one of those of package conf; nil if there are no rights at all
	start []func(ctx context.Context)
	tasks sync.WaitGroup
	stop  context.CancelFunc
}

// open makes the server of b one that asks for rights if its store is governed. It makes the
// store governed where the flags say so. By names this server. Out is where a token is printed.
// Exposed is nil, or the error of a server that other hosts can reach and that nobody has
// rights at. Limit is that of requests whose proof of identity is not known.
func (g *governing) open(ctx context.Context, b *backend, data, by string, insecure bool, exposed error, limit govern.Option, out io.Writer, logger *slog.Logger) (*centre, error) {
	if g.ungoverned {
		return g.withoutRights(ctx, b, logger)
	}
	marker, known, err := b.marker(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case marker != nil && insecure:
		return nil, usageError{errors.New("insecure: the store is governed, and --insecure would let everybody do everything; leave it out, or give --ungoverned too")}
	case marker == nil && g.mode == "" && exposed != nil && !known:
		return nil, fmt.Errorf("%w; whether the store is governed already is not known, because it does not answer", exposed)
	case marker == nil && g.mode == "" && exposed != nil:
		return nil, exposed
	}
	opts := []govern.Option{govern.WithLogger(logger), limit}
	if marker != nil || g.mode != "" {
		opts = append(opts, govern.WithRequired())
	}
	c := &centre{marker: marker}
	if g.denyFile != "" {
		denied, err := govern.ReadDenyFile(g.denyFile, logger)
		if err != nil {
			return nil, fmt.Errorf("deny-file: %w", err)
		}
		opts = append(opts, govern.WithDenyFile(denied))
		c.start = append(c.start, denied.Run, func(ctx context.Context) { onHangUp(ctx, denied.Reload) })
	}
	srv, err := govern.New(b.srv, opts...)
	if err != nil {
		return nil, err
	}
	b.srv, c.srv, c.mode = srv, srv, func() string { return srv.Stats().Mode }
	if g.mode != "" {
		if err := g.setUp(ctx, c, b, data, by, out, logger); err != nil {
			return nil, err
		}
	}
	if g.keepCredentials {
		g.keep(ctx, c, b, by, logger)
	}
	c.rights = c.describe(insecure, logger)
	return c, nil
}

// withoutRights opens a server that ignores the rights of its store.
func (g *governing) withoutRights(ctx context.Context, b *backend, logger *slog.Logger) (*centre, error) {
	const danger = "NONE: --ungoverned ignores the rights of a governed store; everybody who can reach the server may read and publish EVERYTHING"
	marker, known, err := b.marker(ctx)
	if err != nil {
		return nil, err
	}
	if marker == nil && known {
		return nil, usageError{errors.New("ungoverned: the store is not governed, so that there is nothing to ignore; leave it out")}
	}
	logger.Error(danger)
	return &centre{srv: b.srv, marker: marker, rights: danger}, nil
}

// setUp makes the store governed, now or, while it cannot be reached, in the background.
func (g *governing) setUp(ctx context.Context, c *centre, b *backend, data, by string, out io.Writer, logger *slog.Logger) error {
	token, err := g.bootstrapToken()
	if err != nil {
		return err
	}
	s := &setUp{store: b.store, data: data, mode: string(g.mode), token: token, tokenFile: g.tokenFile, by: by, login: g.login, out: out, logger: logger}
	done := func(marker govern.Marker) {
		if marker.By != by {
			logger.Info("the store was made governed before", "by", marker.By, "at", marker.Created, "mode", marker.Mode)
		}
		if marker.Mode != string(g.mode) {
			logger.Warn("--rights sets a store up and does not change its mode later; `gdiamond rights mode` does", "mode", marker.Mode, "rights", g.mode)
		}
		c.srv.Nudge(conf.Position{}) // so that it sees the documents at once
	}
	try, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	marker, err := s.run(try)
	switch {
	case err == nil:
		c.marker = &marker
		done(marker)
	case isAway(err) && ctx.Err() == nil:
		logger.Warn("the storage does not answer; nothing is served before the store is governed", "error", err)
		c.start = append(c.start, func(ctx context.Context) { s.keepTrying(ctx, done) })
	default:
		return fmt.Errorf("rights: %w", err)
	}
	return nil
}

// keep confirms the credentials of before a restore, now or when the storage answers.
func (g *governing) keep(ctx context.Context, c *centre, b *backend, by string, logger *slog.Logger) {
	once := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		generation, changed, err := govern.KeepCredentials(ctx, b.store, by)
		if changed {
			logger.Warn("the tokens of before the restore are confirmed; revoked ones among them are valid again", "generation", generation)
		}
		return err
	}
	err := once(ctx)
	if err == nil {
		return
	}
	logger.Warn("the tokens of before the restore are not confirmed yet", "error", err)
	c.start = append(c.start, func(ctx context.Context) {
		for once(ctx) != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(setUpGap):
			}
		}
	})
}

// isAway reports whether a storage may answer later.
func isAway(err error) bool {
	return errors.Is(err, diamond.ErrUnavailable) || errors.Is(err, diamond.ErrNoSpace) ||
		errors.Is(err, diamond.ErrUnknownOutcome) || errors.Is(err, context.DeadlineExceeded)
}

// describe says how the rights stand, in one line.
func (c *centre) describe(insecure bool, logger *slog.Logger) string {
	const open = "none yet: everybody who can reach the server may read and publish"
	switch {
	case c.marker == nil && insecure:
		logger.Warn("--insecure: there are no rights, and everybody who can reach the server may read and publish")
		return "NONE: --insecure lets everybody who can reach the server read and publish"
	case c.marker == nil && len(c.start) > 0:
		return "waiting for the storage; nothing is served before the store is governed"
	case c.marker == nil:
		return open + "; start once with --rights to change that"
	case c.marker.Mode == govern.ModeObserve:
		return "observe: what is not granted is logged, and not refused; set up by " + c.marker.By
	}
	return "closed: what is not granted is denied; set up by " + c.marker.By
}

// check is the line about rights in /readyz?verbose.
func (c *centre) check() (ok bool, text string) {
	if c.mode == nil {
		return false, c.rights
	}
	switch mode := c.mode(); mode {
	case conf.ModeClosed:
		return true, mode
	case conf.ModeObserve:
		return true, mode + "; nothing is refused"
	case conf.ModeOpen:
		return false, "none: everybody who can reach the server may read and publish"
	}
	return false, "not known yet; nothing is served"
}

// run starts what the centre needs beside its server.
func (c *centre) run(ctx context.Context) {
	ctx, c.stop = context.WithCancel(ctx)
	for _, task := range c.start {
		c.tasks.Go(func() { task(ctx) })
	}
}

// end stops what run has started.
func (c *centre) end() {
	c.stop()
	c.tasks.Wait()
}

// onHangUp calls f for each SIGHUP until ctx ends.
func onHangUp(ctx context.Context, f func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			f()
		}
	}
}

// marker returns the marker of the store, or nil if it has none. Known is false if the
// storage does not answer and the copy on the disk has none.
func (b *backend) marker(ctx context.Context) (marker *govern.Marker, known bool, err error) {
	for _, store := range []diamond.Storage{b.store, b.local} {
		ask, cancel := context.WithTimeout(ctx, askTime)
		have, found, err := govern.ReadMarker(ask, store)
		cancel()
		later := new(govern.LaterFormat)
		switch {
		case found:
			return &have, true, nil
		case errors.As(err, &later):
			return &govern.Marker{By: "a newer program"}, true, nil // which the server does not serve
		case err == nil && store == b.store:
			return nil, true, nil
		case err != nil && !isAway(err):
			return nil, false, err
		}
	}
	return nil, false, nil
}

// listenPages opens the listener of --metrics-listen, or returns nil without one.
func (g *governing) listenPages(ctx context.Context) (net.Listener, error) {
	if g.metrics == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", g.metrics)
	if err != nil {
		return nil, fmt.Errorf("metrics-listen: %w", err)
	}
	return ln, nil
}
