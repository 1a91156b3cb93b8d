package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// pageTimeout is how long a peer may take to read a page.
const pageTimeout = 10 * time.Second

// page serves f to GET and HEAD, to nobody for long.
func page(f http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		// Not every connection has deadlines; those of tests may do without.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(pageTimeout))
		w.Header().Set("Cache-Control", "no-store")
		f(w, r)
	})
}

func (n *Node) livez(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, "ok\n")
}

// readyz says whether to send requests here. The storage's state is told but
// does not count: reads are served without it.
func (n *Node) readyz(w http.ResponseWriter, r *http.Request) {
	st := n.srv.Status()
	var b strings.Builder
	ready := true
	check := func(name string, ok, counts bool, text string) {
		mark := "+"
		if !ok {
			mark = "-"
			ready = ready && !counts
		}
		fmt.Fprintf(&b, "[%s] %s: %s\n", mark, name, text)
	}
	loaded, leaving := "loaded", "no"
	if !st.Ready {
		loaded = "nothing loaded yet"
	}
	shuttingDown := n.leaving.Load() || st.Draining
	if shuttingDown {
		leaving = "yes"
	}
	check("reads", st.Ready, true, fmt.Sprintf("%s, %d keys, revision %d", loaded, st.Keys, st.Position.Revision))
	check("shutting down", !shuttingDown, true, leaving)
	storage := "ok"
	if st.Storage != nil {
		storage = fmt.Sprintf("%v (unconfirmed for %s; reads go on)", st.Storage, st.Stale.Round(time.Second))
	}
	check("storage", st.Storage == nil, false, storage)
	if n.peers != nil {
		s := n.peers.summary()
		check("peers", s.ok(), false, s.String())
	}

	status, text := http.StatusOK, "ready\n"
	if !ready {
		status, text = http.StatusServiceUnavailable, "not ready\n"
		w.Header().Set("Retry-After", "1")
	}
	if r.URL.Query().Has("verbose") {
		text = b.String() + text
	}
	writeText(w, status, text)
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A peer that has gone is no concern of ours.
	_, _ = w.Write([]byte(text))
}

// BuildInfo says what a program was built from.
type BuildInfo struct {
	Version   string `json:"version" yaml:"version"`   // of the main module; "(devel)" where it has none
	Revision  string `json:"revision" yaml:"revision"` // of the source; "" where it is not known
	GoVersion string `json:"goVersion" yaml:"goVersion"`
}

// ReadBuildInfo returns what this program was built from.
func ReadBuildInfo() BuildInfo {
	b := BuildInfo{Version: "(devel)"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.GoVersion = info.GoVersion
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}

func serveVersion(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(ReadBuildInfo())
}
