package httptransport

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// HandlerOption changes a default of [NewHandler].
type HandlerOption func(*settings)

// settings are what options set.
type settings struct {
	httpserve.Config
	maxContent int64
}

func defaultSettings() *settings {
	return &settings{
		Config: httpserve.Config{
			Log:      slog.New(slog.DiscardHandler),
			Admit:    func(*http.Request) error { return nil },
			Requests: budget.New(DefaultRequests, DefaultAddressRequests),
			Memory:   budget.New(DefaultMemoryBudget, DefaultAddressMemory),
		},
		maxContent: conf.DefaultMaxContent,
	}
}

// WithLogger sets where log records go; by default nowhere. Reads and polls
// that succeed are logged at debug level, refused requests at info, failures at
// warn. Of the requests of one route and status one a second is logged so, with the
// number of the others before it, which are logged at debug level. No record holds
// a content.
func WithLogger(logger *slog.Logger) HandlerOption {
	return func(s *settings) { s.Log = logger }
}

// WithAllowedHosts adds host names, without port, by which this server may be
// asked; "*" allows all, "*.example.com" all below that. IP addresses, localhost
// and names under .localhost always are.
//
// A web page that has its own name resolved to a server's address (DNS
// rebinding) would otherwise be of that server's origin. So requests that
// change something are refused when their Host is a name that is not allowed;
// on loopback connections, reads are too.
func WithAllowedHosts(names ...string) HandlerOption {
	return func(s *settings) { s.Hosts.Add(names...) }
}

// WithObserver has the handler call observe after each request, on the request's
// goroutine. So observe must be quick, and safe for concurrent use.
func WithObserver(observe func(Observation)) HandlerOption {
	return func(s *settings) {
		s.Observe = nil
		if observe != nil {
			s.Observe = func(o httpserve.Observation) { observe(Observation(o)) }
		}
	}
}

// WithMaxContent sets how many bytes one content may have, so that larger bodies
// are refused before they are read; by default [conf.DefaultMaxContent]. Give
// it what the server was given.
func WithMaxContent(bytes int64) HandlerOption {
	return func(s *settings) { s.maxContent = bytes }
}

// WithAdmission has the handler call admit for a request before it reads the body. An
// error is the answer to the request. The handler calls admit on the request's
// goroutine, so it must be quick, and safe for concurrent use. Reports, the position
// and the specification are always served. By default all requests are admitted.
//
// The server itself can refuse a request only after its body has been read and
// decoded, which is too late to shed load.
func WithAdmission(admit func(r *http.Request) error) HandlerOption {
	return func(s *settings) { s.Admit = admit }
}

// WithMemoryBudget sets how many bytes of memory requests may take together, and how
// many those from one address may take: their bodies, from when they begin to arrive
// until the requests are done, and their answers, until they have been read. Requests
// above it fail with ErrOverloaded (429). Bodies of less than 16 KiB and answers of up
// to 32 KiB do not count, and a content that is in several answers counts once for an
// address, and once in all. By default it is [DefaultMemoryBudget] (384 MiB), and
// [DefaultAddressMemory] (48 MiB) for one address: the largest change set. An address
// never gets more than is left for the others.
//
// Set it if the process has little memory, or if many clients come from one address,
// that of a proxy. Below 48 MiB for one address the largest change sets are always
// refused.
func WithMemoryBudget(total, perAddress int64) HandlerOption {
	return func(s *settings) { s.Memory = budget.New(total, perAddress) }
}

// WithRequestLimits sets how many requests may be under way together, polls that wait
// included, and how many those from one address may be; by default [DefaultRequests]
// (200,000) and [DefaultAddressRequests] (10,000). Requests above it fail with
// ErrOverloaded (429), before anything is read of them. An address never gets more
// than is left for the others.
//
// A poll that waits takes some 19 KiB. Set perAddress higher if many clients come from
// one address, that of a proxy, which would otherwise be taken for one greedy client.
func WithRequestLimits(total, perAddress int) HandlerOption {
	return func(s *settings) { s.Requests = budget.New(int64(total), int64(perAddress)) }
}

// Memory that requests may take unless [WithMemoryBudget] sets it, in bytes.
const (
	DefaultMemoryBudget  = 8 * DefaultAddressMemory    // of all addresses together: eight of the largest change sets
	DefaultAddressMemory = conf.MaxSetBytes + setLines // of one address: the largest change set
)

// Requests that may be under way unless [WithRequestLimits] sets it, those that wait
// included: one address has room for thousands of clients, and twenty such addresses
// for twice as many polls as a server lets wait by default.
const (
	DefaultRequests        = 20 * DefaultAddressRequests // of all addresses together
	DefaultAddressRequests = 10_000                      // of one address
)

// Observation is what a handler saw of one request.
type Observation struct {
	Route    string // such as "/v1/configs/{key}", or "other" if there is none
	Method   string // one that HTTP defines, else "other"
	Status   int
	Bytes    int64 // of body sent
	Duration time.Duration
	Poll     bool // it may have waited: Duration says nothing of the server's speed
	// Notified is the time from when the server learned of a change until the answer
	// to a waiting poll was written, or 0 if no change ended a wait.
	Notified time.Duration
}
