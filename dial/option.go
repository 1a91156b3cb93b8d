package dial

import (
	"cmp"
	"crypto/tls"
	"log/slog"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/localfile"
	"github.com/linnaname/gdiamond/tlsfile"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// Option changes a default of [Servers], [NameServers] and [Resolver]. The last of two
// equal options counts, except that [WithHTTP] and [WithClient] add to those before.
type Option interface{ apply(*settings) }

type option func(*settings)

func (o option) apply(s *settings) { o(s) }

// settings is what the options say.
type settings struct {
	withFiles bool
	dir       string
	files     []localfile.Option
	logger    *slog.Logger
	tls       *tls.Config
	tlsFiles  tlsfile.Files
	certs     *tlsfile.Client // of tlsFiles, or nil
	http      []httptransport.Option
	token     httptransport.Option // or nil
	client    []diamond.ClientOption
}

func newSettings(opts []Option) *settings {
	s := new(settings)
	for _, opt := range opts {
		opt.apply(s)
	}
	s.logger = cmp.Or(s.logger, slog.Default())
	return s
}

// WithFiles makes the client keep snapshots in the directory dir and read the operator's
// overrides from it; see package localfile. It creates dir if it does not exist. Each
// application needs a directory of its own. By default the client keeps nothing on disk,
// and a program that starts while no server can be reached has only its defaults.
func WithFiles(dir string, opts ...localfile.Option) Option {
	return option(func(s *settings) { s.withFiles, s.dir, s.files = true, dir, opts })
}

// WithLogger sets the logger of the client and all its parts; by default, or if logger is
// nil, it is what [slog.Default] returns when the client is opened. A logger with
// [slog.DiscardHandler] silences the client.
func WithLogger(logger *slog.Logger) Option {
	return option(func(s *settings) { s.logger = logger })
}

// WithTLS sets the TLS configuration for https addresses of servers and name servers. It
// is ErrInvalid if none of the addresses given to [Servers] begins with https://. Of a list of
// [NameServers] the client then uses only the servers that speak TLS. The client makes copies
// of config.
func WithTLS(config *tls.Config) Option {
	return option(func(s *settings) { s.tls = config })
}

// WithTLSFiles is [WithTLS] with PEM files that may be replaced while the program runs: the
// authorities of the servers' and name servers' certificates, and a certificate of the
// program's own, which proves to servers who it is. See [tlsfile.NewClient], whose errors are
// those of the functions that take the option. It excludes WithTLS.
func WithTLSFiles(files tlsfile.Files) Option {
	return option(func(s *settings) { s.tlsFiles = files })
}

// WithToken makes the client prove to servers, and only to them, who it is; see
// [httptransport.WithToken].
func WithToken(token string) Option {
	return option(func(s *settings) { s.token = httptransport.WithToken(token) })
}

// WithTokenFile is [WithToken] with the token in a file, which may be replaced while the
// program runs; see [httptransport.WithTokenFile].
func WithTokenFile(path string) Option {
	return option(func(s *settings) { s.token = httptransport.WithTokenFile(path) })
}

// WithHTTP adds options of the transport to each server, such as
// [httptransport.WithHTTPClient] with a round tripper of the program. They do not apply
// to name servers, which must not see what a round tripper adds for servers, such as a
// token. With WithHTTPClient, [WithTLS] is ErrInvalid.
func WithHTTP(opts ...httptransport.Option) Option {
	return option(func(s *settings) { s.http = append(s.http, opts...) })
}

// WithClient adds options of the client, such as [diamond.WithClientInfo] and
// [diamond.WithTimeouts].
func WithClient(opts ...diamond.ClientOption) Option {
	return option(func(s *settings) { s.client = append(s.client, opts...) })
}
