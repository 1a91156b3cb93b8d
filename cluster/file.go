package cluster

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/privatefile"
)

// ReadSecret reads a secret from the file at path, with one value on each line: the first is
// used, all are accepted. Line ends and empty lines are ignored; everything else counts,
// including blanks. Errors wrap ErrInvalid if the file can be read but not used: everybody on
// the machine may read it, or [NewSecret] refuses its content.
func ReadSecret(path string) (Secret, error) {
	body, err := readPrivate("cluster secret", path, MaxSecrets*(MaxSecret+2))
	if err != nil {
		return Secret{}, err
	}
	var lines []string
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return Secret{}, conf.Errorf(conf.ErrInvalid, "cluster secret file %+q: is empty", path)
	}
	return NewSecret(lines[0], lines[1:]...)
}

// readPrivate reads a file with a secret. The error is ErrInvalid if everybody on the machine
// may read it, or if it has more than limit bytes.
func readPrivate(what, path string, limit int64) ([]byte, error) {
	return readFile(what, path, limit, func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := privatefile.Check(info); err != nil {
			return conf.Errorf(conf.ErrInvalid, "%s file %+q: %v", what, path, err)
		}
		return nil
	})
}

// readFile reads a file, unless check, which may be nil, refuses it. The error is ErrInvalid
// if the file has more than limit bytes.
func readFile(what, path string, limit int64, check func(*os.File) error) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer f.Close()
	if check != nil {
		if err := check(f); err != nil {
			return nil, err
		}
	}
	body, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	case int64(len(body)) > limit:
		return nil, conf.Errorf(conf.ErrInvalid, "%s file %+q: has more than %d bytes", what, path, limit)
	}
	return body, nil
}
