package cluster

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

// ReadSecret reads a secret from the file at path: one a line, the first is used,
// all are accepted. Line ends and empty lines do not count; all else does,
// blanks too. Errors wrap ErrInvalid where the file can be read but not be used:
// everybody on the machine may read it, or what it holds is refused by
// [NewSecret].
func ReadSecret(path string) (Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return Secret{}, fmt.Errorf("cluster secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Secret{}, fmt.Errorf("cluster secret: %w", err)
	}
	invalid := func(format string, args ...any) (Secret, error) {
		return Secret{}, diamond.Errorf(diamond.ErrInvalid, "cluster secret file %+q: %s", path, fmt.Sprintf(format, args...))
	}
	// Windows keeps rights elsewhere; the mode says nothing there.
	if mode := info.Mode().Perm(); mode&0o007 != 0 && runtime.GOOS != "windows" {
		return invalid("has mode %04o, so that everybody on this machine can read it; chmod 600 it, or 640", mode)
	}
	const limit = MaxSecrets * (MaxSecret + 2)
	body, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return Secret{}, fmt.Errorf("cluster secret: %w", err)
	case len(body) > limit:
		return invalid("has more than %d bytes", limit)
	}
	var lines []string
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return invalid("is empty")
	}
	return NewSecret(lines[0], lines[1:]...)
}
