package privatefile

import (
	"fmt"
	"io"
	"os"

	"github.com/linnaname/gdiamond/conf"
)

// Read reads a file with a secret. What is the word for it in errors. The error wraps
// ErrInvalid if everybody on the machine may read the file, or if it has more than limit bytes.
func Read(what, path string, limit int64) ([]byte, error) { return read(what, path, limit, true) }

// ReadPublic is like Read, but everybody may read the file.
func ReadPublic(what, path string, limit int64) ([]byte, error) {
	return read(what, path, limit, false)
}

func read(what, path string, limit int64, private bool) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer f.Close()
	if private {
		info, err := f.Stat()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		if err := Check(info); err != nil {
			return nil, conf.Errorf(conf.ErrInvalid, "%s file %+q: %v", what, path, err)
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
