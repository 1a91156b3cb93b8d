package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/lograte"
)

const (
	// tokenFileName is the file in the data directory with the setup token.
	tokenFileName = "setup-token"
	// askTime is the time that a server that starts has to learn from its storage whether it
	// is governed, and to make it so. It tries again in the background.
	askTime   = 10 * time.Second
	setUpGap  = 2 * time.Second // between two tries in the background
	maxTokens = 1000            // files of setup tokens in a data directory
)

// setUp makes the store governed, at the start of a server with --rights, and tells who has
// the token.
type setUp struct {
	store     diamond.Storage
	data      string // the directory for the token's file
	mode      string
	token     string // of --bootstrap-token-file, or "" until a try makes one
	tokenFile string // that of --bootstrap-token-file, or ""
	by        string
	login     string    // the address of the server for a login, or ""
	path      string    // of the token's file, once a try has made it
	tried     bool      // the last try may have succeeded
	out       io.Writer // where the token is printed
	logger    *slog.Logger
	failures  lograte.Events // of tries in the background
}

// run sets the store up, unless it is governed already. It makes the file before the token
// is worth anything, so that no crash loses the token.
func (s *setUp) run(ctx context.Context) (marker govern.Marker, err error) {
	if !s.tried {
		have, found, err := govern.ReadMarker(ctx, s.store)
		if err != nil || found {
			return have, err
		}
	}
	if s.token == "" {
		secret := govern.NewTokenSecret()
		if s.path, err = writeToken(s.data, secret); err != nil {
			return govern.Marker{}, fmt.Errorf("the setup token: %w", err)
		}
		s.token = secret
	}
	s.tried = true
	result, err := govern.SetUp(ctx, s.store, govern.SetUpOptions{Mode: s.mode, Token: s.token, By: s.by})
	if result.Minted {
		s.tell(result)
	} else if err == nil && s.path != "" { // another server was faster, so that this token is worth nothing
		err = os.Remove(s.path)
	}
	return result.Marker, err
}

// tell prints the token where the operator looks, once. It is in no log.
func (s *setUp) tell(result govern.SetUpResult) {
	s.logger.Info("the store is governed from now on", "mode", result.Marker.Mode, "by", result.Marker.By, "namespaces", result.Namespaces,
		"token", "token:"+govern.SetupToken, "expires", result.Expires)
	file := s.path
	if file == "" {
		file = s.tokenFile
		fmt.Fprintf(s.out, "setup token  that of --bootstrap-token-file, valid until %s\n", result.Expires.Format(time.RFC3339))
	} else {
		fmt.Fprintf(s.out, "setup token  %s\n             in %s, valid until %s; it is not printed again\n", result.Token, file, result.Expires.Format(time.RFC3339))
	}
	if s.login == "" { // the greeting has the command
		return
	}
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	fmt.Fprintf(s.out, "next         gdiamond login --server %s %s\n", s.login, file)
}

// keepTrying runs the set-up until it succeeds or ctx ends. Until then the server refuses
// everything, because it has a Centre that requires rights.
func (s *setUp) keepTrying(ctx context.Context, done func(govern.Marker)) {
	for {
		timer := time.NewTimer(setUpGap)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		try, cancel := context.WithTimeout(ctx, askTime)
		marker, err := s.run(try)
		cancel()
		if err == nil {
			done(marker)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if unlogged, ok := s.failures.LogOnceIn(time.Minute); ok {
			s.logger.Warn("the store is not governed yet, and serves nothing", "error", err, "unlogged", unlogged)
		}
	}
}

// writeToken writes a token's secret to a new file in the directory, which only its owner can
// read, and returns its path. A file that exists stays as it is.
func writeToken(dir, secret string) (path string, err error) {
	for n := 1; n <= maxTokens; n++ {
		name := tokenFileName
		if n > 1 {
			name = fmt.Sprintf("%s-%d", tokenFileName, n)
		}
		path = filepath.Join(dir, name)
		err = writeNew(path, func(file *os.File) error {
			_, err := io.WriteString(file, secret+"\n")
			return err
		})
		if !errors.Is(err, os.ErrExist) {
			return path, err
		}
	}
	return "", fmt.Errorf("%d files of setup tokens are in %s; remove them: %w", maxTokens, dir, err)
}

// nameOfNode is how the marker names this server: the address at which clients reach it, or
// that of the listener and the host's name.
func nameOfNode(advertise, address string) string {
	if advertise != "" {
		return advertise
	}
	host, err := os.Hostname()
	if err != nil {
		return address
	}
	return host + " (" + address + ")"
}
