package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

const (
	// pageTimeout is the time limit for a peer to read a page.
	pageTimeout = 10 * time.Second
	// arrivalTimeout is the time limit for a small body to arrive. It also bounds a body
	// that a page does not use, because net/http reads the rest of it.
	arrivalTimeout = 5 * time.Second
)

// nodePage is one of the pages of a node, with what its caller needs to see it if the server
// decides about rights; see [Node.servePage]. A page for peers asks them itself.
type nodePage struct {
	http.Handler
	right   httpserve.Right
	verbose httpserve.Right // with the parameter verbose; "" if there is none
}

// rightFor returns what the caller of r needs.
func (p *nodePage) rightFor(r *http.Request) httpserve.Right {
	if p.verbose != "" && r.URL.Query().Has("verbose") {
		return p.verbose
	}
	return p.right
}

// page serves f to GET and HEAD, within deadlines.
func page(f http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Connections of tests may have no deadlines.
		control := http.NewResponseController(w)
		if r.ContentLength != 0 { // without a body it would end net/http's background read, and so the connection
			_ = control.SetReadDeadline(time.Now().Add(arrivalTimeout))
		}
		_ = control.SetWriteDeadline(time.Now().Add(pageTimeout))
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		f(w, r)
	})
}

func (n *Node) livez(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, "ok\n")
}

// readyz reports whether clients should send requests here. It shows the state of the storage, but
// a storage that fails does not make the node unready: reads are served without it.
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
	switch {
	case st.Closed != nil:
		loaded = "refused, because " + oneLine(st.Closed)
	case !st.Ready:
		loaded = "nothing loaded yet"
	}
	shuttingDown := n.leaving.Load() || st.Draining
	if shuttingDown {
		leaving = "yes"
	}
	check("reads", st.Ready, true, fmt.Sprintf("%s, %d keys, revision %d", loaded, st.Keys, st.Position.Revision))
	check("shutting down", !shuttingDown, true, leaving)
	check("storage", st.Storage == nil && st.Stale == 0, false, storageText(&st))
	if st.Replica != nil {
		check("replica", st.Replica.Err == nil, false, replicaText(&st))
	}
	check("self-check", st.Divergent == 0 && st.CheckErr == nil, false, checkText(&st))
	if n.registered != nil {
		ok, text := n.registered.summary()
		check("registration", ok, false, text)
	}
	if n.peers != nil {
		s := n.peers.summary()
		check("peers", s.ok(), false, s.String())
	}
	for _, c := range n.config.checks {
		ok, text := c.look()
		check(c.name, ok, false, text)
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

// storageText describes the state of the storage, and the failure of the last publish
// if it failed, which may be long ago.
func storageText(st *conf.ServerStatus) string {
	text := storageState(st)
	if st.WriteErr == nil {
		return text
	}
	text += fmt.Sprintf("; the last publish failed %s ago", time.Since(st.WriteFailed).Round(time.Second))
	if why := oneLine(st.WriteErr); !strings.Contains(text, why) { // it is not named yet
		text += ": " + why
	}
	return text
}

// storageState describes the state of the storage, and since when it is so.
func storageState(st *conf.ServerStatus) string {
	if st.Storage == nil && st.Stale == 0 {
		return "ok"
	}
	why, goes, since := "no answer", "nothing is served", "since it was started"
	if st.Storage != nil {
		why = oneLine(st.Storage) // it may join two errors, of reads and of writes, which are often the same
	}
	if st.Ready {
		goes = "reads go on, marked stale"
	}
	if st.Stale == 0 { // it can be read
		return why + " (reads go on)"
	}
	if !st.Confirmed.IsZero() {
		since = "since " + st.Confirmed.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s (unconfirmed for %s, %s; %s)", why, st.Stale.Round(time.Second), since, goes)
}

// oneLine returns the text of err in one line, without repeated lines.
func oneLine(err error) string {
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// replicaText describes the state of the replica.
func replicaText(st *conf.ServerStatus) string {
	r := st.Replica
	text := fmt.Sprintf("revision %d, %d behind", r.Position.Revision, max(0, st.Position.Revision-r.Position.Revision))
	if r.Err != nil {
		text += fmt.Sprintf("; %v", r.Err)
	}
	return text
}

// checkText describes what the checks of the server against its storage have found,
// and why the last check was not completed.
func checkText(st *conf.ServerStatus) string {
	text := fmt.Sprintf("%d done, %d differences found, %d keys differ in the storage now",
		st.Counters.Checks, st.Counters.Divergences, st.Divergent)
	if st.CheckErr != nil {
		text += "; the last one was not completed: " + oneLine(st.CheckErr)
	}
	return text
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The peer may have gone.
	_, _ = w.Write([]byte(text))
}

// BuildInfo is the version and the source of a program.
type BuildInfo struct {
	Version   string `json:"version" yaml:"version"`   // of the main module, or "(devel)" if it has none
	Revision  string `json:"revision" yaml:"revision"` // of the source, or "" if it is not known
	GoVersion string `json:"goVersion" yaml:"goVersion"`
}

// ReadBuildInfo returns the BuildInfo of this program.
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
