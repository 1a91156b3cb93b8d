package httptransport

import (
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// WithToken makes the transport prove who it is: each request has token in an Authorization
// header. [New] fails with ErrInvalid if token has no such form, or if another token is given
// too. The token never stands in an error. Over plain HTTP anybody on the way can read it.
func WithToken(token string) Option {
	source := &tokenSource{token: token, fixed: true} // one for all transports of a Dialer
	return func(t *Transport) { t.tokens = append(t.tokens, source) }
}

// WithTokenFile is [WithToken] with the token that the file at path has, without the white
// space around it. The transport reads the file again when its size or time of modification
// has changed, which it looks for at most once a second. So a token can be replaced while
// the program runs. [New] fails if the file cannot be read or has no token. If that happens
// later, the transport goes on with the token that it has, and logs why; see
// [WithTokenLogger].
func WithTokenFile(path string) Option {
	source := &tokenSource{path: path} // as above
	return func(t *Transport) { t.tokens = append(t.tokens, source) }
}

// WithTokenLogger sets the logger of what is wrong with a token: that the file of
// [WithTokenFile] cannot be read any more, that every user of the machine can read it, or
// that the token goes to another machine over plain HTTP. By default nothing is logged.
func WithTokenLogger(logger *slog.Logger) Option {
	return func(t *Transport) { t.tokenLog = logger }
}

// tokenEvery is the shortest time between two looks at the file of a token.
const tokenEvery = time.Second

// tokenSource has the token of one or more transports. It is safe for concurrent use.
type tokenSource struct {
	path  string
	fixed bool // token is given, and there is no file

	mu       sync.Mutex
	token    string
	looked   time.Time // guarded by mu: when the file was last looked at
	modified time.Time // guarded by mu: of the file, when it was last read
	size     int64     // guarded by mu
	failed   bool      // guarded by mu: the last look has failed, and that is logged
	plain    bool      // guarded by mu: that it is sent in the clear is logged
	warned   bool      // guarded by mu: that others can read the file
}

// check reports whether there is a token to begin with.
func (s *tokenSource) check(log *slog.Logger) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fixed {
		if !isToken(s.token) {
			return conf.Errorf(conf.ErrInvalid, "token: is empty, longer than %d bytes, or has characters that no token has", maxToken)
		}
		return nil
	}
	s.looked = time.Now()
	if err := s.read(log); err != nil && s.token == "" {
		return err
	}
	return nil // a transport that comes later has the token of those before
}

// warnPlain logs once that a token goes to a server of another machine in the clear.
func (s *tokenSource) warnPlain(base *url.URL, log *slog.Logger) {
	host := base.Hostname()
	ip := net.ParseIP(host)
	if base.Scheme != "http" || host == "localhost" || ip != nil && ip.IsLoopback() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.plain {
		s.plain = true
		log.Warn("the token is sent over plain HTTP, where others may read it", "server", base.Host)
	}
}

// current returns the token. It reads the file if that has changed.
func (s *tokenSource) current(log *slog.Logger) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); !s.fixed && now.Sub(s.looked) >= tokenEvery {
		s.looked = now
		err := s.read(log)
		if err != nil && !s.failed {
			log.Warn("the file of the token cannot be used; the token of before stays in use", "error", err)
		}
		s.failed = err != nil
	}
	return s.token
}

// read reads the file, unless it is as it was. Mu must be held.
func (s *tokenSource) read(log *slog.Logger) error {
	info, err := os.Stat(s.path)
	if err != nil {
		return conf.Errorf(conf.ErrInvalid, "token file: %v", err)
	}
	if s.token != "" && info.ModTime().Equal(s.modified) && info.Size() == s.size {
		return nil
	}
	if !info.Mode().IsRegular() || info.Size() > 2*maxToken {
		return conf.Errorf(conf.ErrInvalid, "token file: %s is not a file of at most %d bytes", s.path, 2*maxToken)
	}
	raw, err := os.ReadFile(s.path)
	if err != nil {
		return conf.Errorf(conf.ErrInvalid, "token file: %v", err)
	}
	token := strings.TrimSpace(string(raw))
	if !isToken(token) {
		return conf.Errorf(conf.ErrInvalid, "token file: %s is empty, or holds more or other than one token", s.path)
	}
	if info.Mode().Perm()&0o004 != 0 && !s.warned {
		s.warned = true
		log.Warn("every user of this machine can read the file of the token", "file", s.path, "mode", info.Mode().Perm().String())
	}
	s.token, s.modified, s.size = token, info.ModTime(), info.Size()
	return nil
}
