package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/server"
)

// The admin socket lies in the data directory. A user who may read the directory may
// copy the store through the socket while the server is running. The socket cannot be
// reached over a network.
const (
	adminSocket = "admin.sock"
	// backupDone is the trailer of a complete copy; a truncated copy lacks it.
	backupDone = "Backup-Done"
)

// backuper is a store that can be copied while it is in use.
type backuper interface {
	Backup(ctx context.Context, w io.Writer) error
}

// listenAdmin creates the admin socket of the data directory, which the caller
// has open. It returns nil if that fails, because everything else works without it.
func listenAdmin(ctx context.Context, data string, logger *slog.Logger) net.Listener {
	ln, err := listenSocket(ctx, data)
	if err != nil {
		logger.Warn("no backups while running", "error", err)
		return nil
	}
	return ln
}

// serveAdmin serves the admin socket until ctx ends.
func serveAdmin(ctx context.Context, ln net.Listener, store backuper, logger *slog.Logger) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /backup", func(w http.ResponseWriter, r *http.Request) {
		// A copy has no time limit: a caller of this socket may read the file anyway.
		control := http.NewResponseController(w)
		if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Trailer", backupDone)
		if err := store.Backup(r.Context(), w); err != nil {
			logger.Warn("backup failed", "error", err)
			return
		}
		w.Header().Set(backupDone, "yes")
	})
	if err := server.Serve(ctx, ln, mux, logger); err != nil {
		logger.Warn("no backups any more", "error", err)
	}
}

// backupRunning copies the store of a running server on data to w.
func backupRunning(ctx context.Context, data string, w io.Writer) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialSocket(ctx, data)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://server/backup", nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("the process that has the store open gives no backup: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the process that has the store open gives no backup: %s", res.Status)
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return err
	}
	if res.Trailer.Get(backupDone) == "" {
		return errors.New("the backup was cut off; the log of the server says why")
	}
	return nil
}
