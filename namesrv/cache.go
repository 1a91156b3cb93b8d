package namesrv

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/atomicfile"
)

// cacheFile is the last good list on disk. It has no time, because even an old list is better
// than none.
type cacheFile struct {
	Version int      `json:"version"` // of this format: 1
	Servers []string `json:"servers"`
}

// cache keeps the last good list on disk. It has a separate lock, so that a slow disk delays
// nothing else.
type cache struct {
	path   string // or "" to remember nothing
	logger *slog.Logger

	mu      sync.Mutex // guards the fields below
	servers []string   // the list that the disk has or should have
	failed  bool       // whether the last write failed
}

// open reads the list on disk. It ignores a damaged list, which the next good list replaces.
func (c *cache) open(logger *slog.Logger) {
	c.logger = logger
	if c.path == "" {
		return
	}
	var err error
	if c.servers, err = readCache(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		logger.Warn("remembered list of servers cannot be used", "file", c.path, "error", err)
	}
}

// load returns the remembered list.
func (c *cache) load() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.servers)
}

// save remembers servers, unless the disk has them already.
func (c *cache) save(servers []string) {
	if c.path == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.failed && slices.Equal(servers, c.servers) {
		return
	}
	err := writeCache(c.path, servers)
	if err != nil && !c.failed {
		c.logger.Warn("list of servers cannot be remembered", "file", c.path, "error", err)
	}
	c.servers, c.failed = slices.Clone(servers), err != nil
}

func readCache(path string) ([]string, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	_, _ = atomicfile.Clean(root, ".", time.Hour) // leftovers of crashes; a failure does no harm
	body, err := atomicfile.Read(root, filepath.Base(path), maxAnswer)
	if err != nil {
		return nil, err
	}
	return decodeCache(body)
}

func decodeCache(body []byte) ([]string, error) {
	var f cacheFile
	if err := json.Unmarshal(body, &f); err != nil || f.Version != 1 || len(f.Servers) == 0 || len(f.Servers) > MaxServers {
		return nil, conf.Errorf(conf.ErrCorrupt, "not a list of servers")
	}
	for i, addr := range f.Servers {
		addr, err := serverAddress(addr)
		if err != nil {
			return nil, err
		}
		f.Servers[i] = addr
	}
	slices.Sort(f.Servers)
	return slices.Compact(f.Servers), nil
}

func writeCache(path string, servers []string) error {
	body, err := json.Marshal(cacheFile{Version: 1, Servers: servers})
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return atomicfile.Write(root, filepath.Base(path), append(body, '\n'), 0o600)
}
