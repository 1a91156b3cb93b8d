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

// settings holds the values that options set.
type settings struct {
	httpserve.Config
	maxContent int64
	monitor    Monitor // or nil for the server, if it is one
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

// WithLogger sets the logger. By default nothing is logged. Reads and polls that succeed
// are logged at debug level, refused requests at info, and failures at warn. Of the
// requests with one route and status only one a second is logged at info or warn, with the
// number of the others before it. The others are logged at debug level. No record contains
// the content of a configuration.
func WithLogger(logger *slog.Logger) HandlerOption {
	return func(s *settings) { s.Log = logger }
}

// WithAllowedHosts adds host names, without port, that the Host header of a request may
// have. "*" allows all names, and "*.example.com" all names below example.com. IP
// addresses, localhost and names under .localhost are always allowed.
//
// A web page can make its own name resolve to a server's address (DNS rebinding). Without
// this check it would then have the origin of that server. So the handler refuses requests
// that change something if their Host is not allowed. On loopback connections it refuses
// reads too.
func WithAllowedHosts(names ...string) HandlerOption {
	return func(s *settings) { s.Hosts.Add(names...) }
}

// WithObserver makes the handler call observe after each request, on the request's
// goroutine. So observe must be quick, and safe for concurrent use.
func WithObserver(observe func(Observation)) HandlerOption {
	return func(s *settings) {
		s.Observe = nil
		if observe != nil {
			s.Observe = func(o httpserve.Observation) { observe(Observation(o)) }
		}
	}
}

// WithMaxContent sets the maximum size of one content in bytes, so that larger bodies are
// refused before they are read. The default is [conf.DefaultMaxContent]. Set it to the
// limit of the server.
func WithMaxContent(bytes int64) HandlerOption {
	return func(s *settings) { s.maxContent = bytes }
}

// WithAdmission makes the handler call admit for a request before it reads the body. If
// admit returns an error, that is the answer to the request. The handler calls admit on
// the request's goroutine, so it must be quick, and safe for concurrent use. Reports, the
// position and the specification are always served. By default all requests are admitted.
//
// The server itself can refuse a request only after its body has been read and decoded,
// which is too late to shed load.
func WithAdmission(admit func(r *http.Request) error) HandlerOption {
	return func(s *settings) { s.Admit = admit }
}

// WithIdentity makes the handler call identify once for each request, before it reads the
// body, to find out who has sent it, in the place of the server's own [Prover]. The zero
// Principal is anonymous. If identify returns an error, that is the answer to the request:
// ErrUnauthenticated, unless the error wraps another sentinel. The handler calls identify on
// the request's goroutine, so it must be quick, and safe for concurrent use. [ReadProof]
// reads the proofs that the handler itself knows.
//
// Without the option, and without a server that is a Prover, all callers are anonymous, and
// proofs are ignored.
func WithIdentity(identify func(r *http.Request) (conf.Principal, error)) HandlerOption {
	return func(s *settings) { s.Identify = identify }
}

// WithMemoryBudget sets the maximum memory in bytes of all requests together, and of the
// requests from one address. A body counts from the moment when it begins to arrive until
// the request is done, and an answer counts until the peer has read it. Requests above a
// limit fail with ErrOverloaded (429). Bodies of less than 16 KiB and answers of up to
// 32 KiB do not count. A content that is in several answers counts once for each address,
// and once in total. The defaults are [DefaultMemoryBudget] (384 MiB), and
// [DefaultAddressMemory] (48 MiB) for one address, which is the largest change set. An
// address never gets more than it leaves for the others.
//
// Set it if the process has little memory, or if many clients share one address, such as
// that of a proxy. Below 48 MiB for one address the largest change sets are always
// refused.
func WithMemoryBudget(total, perAddress int64) HandlerOption {
	return func(s *settings) { s.Memory = budget.New(total, perAddress) }
}

// WithRequestLimits sets the maximum number of requests under way, including parked polls,
// and the maximum number from one address. The defaults are [DefaultRequests] (200,000) and
// [DefaultAddressRequests] (10,000). Requests above a limit fail with ErrOverloaded (429),
// before their bodies are read. An address never gets more than it leaves for the others.
//
// A parked poll takes about 19 KiB. Raise perAddress if many clients share one address,
// such as that of a proxy, which would otherwise count as one greedy client.
func WithRequestLimits(total, perAddress int) HandlerOption {
	return func(s *settings) { s.Requests = budget.New(int64(total), int64(perAddress)) }
}

// The defaults of [WithMemoryBudget], in bytes.
const (
	DefaultMemoryBudget  = 8 * DefaultAddressMemory    // of all addresses together: eight of the largest change sets
	DefaultAddressMemory = conf.MaxSetBytes + setLines // of one address: the largest change set
)

// The defaults of [WithRequestLimits]. One address has room for thousands of clients.
// Twenty such addresses have room for twice as many polls as a server parks by default.
const (
	DefaultRequests        = 20 * DefaultAddressRequests // of all addresses together
	DefaultAddressRequests = 10_000                      // of one address
)

// Observation describes one request and its answer.
type Observation struct {
	Route    string // such as "/v1/configs/{key}", or "other" if there is none
	Method   string // a method that HTTP defines, or "other"
	Status   int
	Bytes    int64 // of body sent
	Duration time.Duration
	Poll     bool // it may have waited, so Duration does not show the speed of the server
	// Notified is the time from when the server learned of a change until the answer
	// to a waiting poll was written, or 0 if no change ended a wait.
	Notified time.Duration
}
