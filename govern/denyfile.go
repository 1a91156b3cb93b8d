package govern

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// denyInterval is the time between two looks at the file. A change is taken when two looks
	// find the same, so that no half-written file is.
	denyInterval = 300 * time.Millisecond
	maxDenyFile  = 1 << 20 // bytes
	maxDenied    = 10_000  // principals
)

// DenyFile is a list of principals in a file, whose every request a node refuses at once. It
// is the only way to take a right away while the storage cannot be written, and holds for the
// nodes that have it only.
//
// The file has one principal a line, as grants name them: user:N, token:N, cert:KIND:SAN or
// anonymous. Empty lines and what follows a # are ignored. [ReadDenyFile] reads the file for
// the first time, and Run again whenever it changes. A file that is damaged or cannot be read
// leaves the last list in force. It is safe for concurrent use.
type DenyFile struct {
	path   string
	logger *slog.Logger

	reading sync.Mutex // at most one reads the file
	content []byte     // that was taken last; guarded by reading
	waiting []byte     // that the last look found and that is not taken yet; guarded by reading
	failure string     // of the last read, or ""; guarded by reading

	mu      sync.RWMutex
	denied  map[string]bool      // guarded by mu
	changed func(names []string) // guarded by mu
}

// ReadDenyFile reads the file at path. Errors name the line and the rule, and wrap
// [conf.ErrInvalid] unless the file cannot be read.
func ReadDenyFile(path string, logger *slog.Logger) (*DenyFile, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	d := &DenyFile{path: path, logger: logger, changed: func([]string) {}}
	content, denied, err := d.read()
	if err != nil {
		return nil, err
	}
	d.content, d.waiting, d.denied = content, content, denied
	return d, nil
}

// Denies reports whether the list has a principal; "" is anonymous.
func (d *DenyFile) Denies(principal string) bool {
	if d == nil {
		return false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.denied[principalName(principal)]
}

// Len returns the number of principals in the list.
func (d *DenyFile) Len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.denied)
}

// Run looks at the file every 300 ms and takes what has changed, until ctx ends.
func (d *DenyFile) Run(ctx context.Context) {
	ticker := time.NewTicker(denyInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.look(false)
		}
	}
}

// Reload takes the file now. If that fails, the last list stays in force.
func (d *DenyFile) Reload() { d.look(true) }

// look reads the file. It takes a change if the look before found the same, or at once. It
// logs a failure once for as long as it stays the same.
func (d *DenyFile) look(atOnce bool) {
	d.reading.Lock()
	defer d.reading.Unlock()
	content, denied, err := d.read()
	if err != nil {
		if err.Error() != d.failure {
			d.failure = err.Error()
			d.logger.Error("the deny file is not taken; the last list stays in force", "file", d.path, "error", err)
		}
		return
	}
	d.failure = ""
	before := d.waiting
	d.waiting = content
	if bytes.Equal(content, d.content) || !atOnce && !bytes.Equal(content, before) {
		return
	}
	d.content = content
	d.replace(denied)
}

// replace puts a list in force, and tells of the principals that are in one of the old and
// the new list only.
func (d *DenyFile) replace(denied map[string]bool) {
	d.mu.Lock()
	old, changed := d.denied, d.changed
	d.denied = denied
	d.mu.Unlock()
	var names []string
	for name := range old {
		if !denied[name] {
			names = append(names, name)
		}
	}
	for name := range denied {
		if !old[name] {
			names = append(names, name)
		}
	}
	d.logger.Warn("the deny file has changed", "file", d.path, "principals", len(denied), "changed", len(names))
	if len(names) > 0 {
		changed(names)
	}
}

// onChange sets what is called after each change, with the names of those who are denied now
// and were not, or the other way round.
func (d *DenyFile) onChange(changed func(names []string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed = changed
}

func (d *DenyFile) read() (content []byte, denied map[string]bool, err error) {
	file, err := os.Open(d.path)
	if err != nil {
		return nil, nil, fmt.Errorf("deny file: %w", err)
	}
	defer file.Close()
	content, err = io.ReadAll(io.LimitReader(file, maxDenyFile+1)) // not nil, even if it is empty
	if err != nil {
		return nil, nil, fmt.Errorf("deny file: %w", err)
	}
	if len(content) > maxDenyFile {
		return nil, nil, conf.Invalidf("deny file: more than %d bytes", maxDenyFile)
	}
	denied, err = parseDenied(content)
	return content, denied, err
}

// parseDenied reads the lines of a deny file.
func parseDenied(content []byte) (map[string]bool, error) {
	denied := map[string]bool{}
	number := 0
	for line := range bytes.Lines(content) {
		number++
		name := uncommented(string(line))
		if name == "" {
			continue
		}
		subject, err := ParseSubject(name)
		if err != nil {
			return nil, conf.Invalidf("deny file: line %d: %s", number, detail(err, "subject: "))
		}
		if subject.Kind == SubjectTeam {
			return nil, conf.Invalidf("deny file: line %d: a team is no principal; name its members", number)
		}
		denied[name] = true
		if len(denied) > maxDenied {
			return nil, conf.Invalidf("deny file: more than %d principals", maxDenied)
		}
	}
	return denied, nil
}

// uncommented returns a line without its comment, which begins with a # at the beginning of
// the line or behind white space. A # may stand within the name of a certificate.
func uncommented(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}
