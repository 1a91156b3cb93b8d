package httptransport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
	"github.com/linnaname/gdiamond/transport"
)

// request is one request to the server.
type request struct {
	op     string
	key    conf.Key // zero if the request does not concern one key
	method string
	path   string
	query  url.Values
	client conf.ClientInfo

	requestID string
	body      func() io.Reader // nil for none
	length    int64
	media     []string // of the body

	origin string        // of a write; "" for none
	force  bool          // of a write
	seen   conf.Position // that the server must have reached
	wait   time.Duration // that the request asks the server for
	absent bool          // a 404 of a diamond server is an answer
	writes bool          // if the answer is lost, the request may have been done
}

// errSilent ends a request whose server has been silent for too long.
var errSilent = errors.New("no answer in time")

// do asks the server and calls read with the answer. All errors that it returns are
// of type *conf.Error.
func (t *Transport) do(ctx context.Context, req *request, read func(*http.Response) error) error {
	if err := ctx.Err(); err != nil {
		return &conf.Error{Op: req.op, Key: req.key, Err: err}
	}
	asking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watch := &watchdog{timer: time.AfterFunc(t.timeout+req.wait, func() { stop(errSilent) })}
	watch.limit.Store(int64(t.timeout + req.wait))
	defer watch.timer.Stop()

	var progress progress
	used, started := t.connections.inUse(), time.Now()
	ask, err := t.build(asking, req, watch, &progress)
	if err != nil {
		return t.fail(req, conf.ErrInvalid, "request cannot be made")
	}
	res, err := t.http.Do(ask)
	if err != nil {
		if context.Cause(asking) == errSilent || ctx.Err() != nil && req.wait == 0 && time.Since(started) > suspectAfter {
			t.connections.giveUp(used)
		}
		return t.lost(ctx, asking, req, err, !progress.unsent())
	}
	defer func() { _ = res.Body.Close() }()
	watch.limit.Store(int64(t.timeout)) // the wait is over
	heard := func() { watch.heard(); transport.Heard(ctx) }
	heard()
	res.Body = &watchedBody{res.Body, heard}

	switch e := remoteError(req.op, req.key, res); {
	case e != nil && req.absent && res.StatusCode == http.StatusNotFound && errors.Is(e, conf.ErrNotFound):
	case e != nil:
		if req.writes && res.StatusCode >= 500 && errors.Is(e, conf.ErrUnavailable) && !nothingDone(res) {
			e.Err = conf.ErrUnknownOutcome
		}
		return e
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent:
		return t.foreign(req, res)
	}
	if err := read(res); err != nil {
		if context.Cause(asking) == errSilent {
			t.connections.giveUp(used)
		}
		return t.lost(ctx, asking, req, altered(res, err), true)
	}
	// The connection can be used again only if nothing is left to read.
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10)
	return nil
}

// altered returns err, the reason that an answer was not accepted. If the answer has a
// header of a compression or of a proxy, which servers never set, the error names it:
// something between client and server has changed the answer.
func altered(res *http.Response, err error) error {
	for _, name := range []string{"Content-Encoding", "Via"} {
		value := res.Header.Get(name)
		if value == "" || value == "identity" {
			continue
		}
		detail := err.Error()
		if own := new(conf.Error); errors.As(err, &own) {
			detail = own.Detail
		}
		return conf.Errorf(conf.ErrInvalid, "%s; something between client and server has changed the answer: it has the header %s: %s", detail, name, httpserve.Clip(value))
	}
	return err
}

// nothingDone reports whether the code of an answer means that nothing was done. A code
// that this client does not know does not mean that.
func nothingDone(res *http.Response) bool { return res.Header.Get(hError) == "unavailable" }

// fail returns an error of this end.
func (t *Transport) fail(req *request, err error, detail string) error {
	return &conf.Error{Op: req.op, Key: req.key, Err: err, Detail: t.base.Host + ": " + httpserve.Clip(detail)}
}

// foreign returns the error for an answer that is not of a diamond server, but of a proxy
// or of another program that listens at that address.
func (t *Transport) foreign(req *request, res *http.Response) error {
	err := conf.ErrUnavailable
	if req.writes && (res.StatusCode >= 500 || res.StatusCode < 300) {
		err = conf.ErrUnknownOutcome // a proxy may have passed it on
	}
	e := &conf.Error{
		Op: req.op, Key: req.key, Err: err, RetryAfter: retryAfter(res.Header),
		Detail: fmt.Sprintf("%s: status %d without the headers of a diamond server", t.base.Host, res.StatusCode),
	}
	return e
}

// lost returns the error for a request without a complete answer.
func (t *Transport) lost(ctx, asking context.Context, req *request, cause error, sent bool) error {
	err := conf.ErrUnavailable
	if req.writes && sent {
		err = conf.ErrUnknownOutcome
	}
	if ended := ctx.Err(); ended != nil {
		if err != conf.ErrUnknownOutcome {
			return &conf.Error{Op: req.op, Key: req.key, Err: ended}
		}
		return &conf.Error{Op: req.op, Key: req.key, Err: fmt.Errorf("%w: %w", err, ended)}
	}
	if context.Cause(asking) == errSilent {
		return t.fail(req, err, errSilent.Error())
	}
	var of *url.Error
	if errors.As(cause, &of) {
		cause = of.Err // without the URL: the error has op and key
	}
	var own *conf.Error
	if errors.As(cause, &own) {
		return t.fail(req, err, "bad answer: "+own.Detail)
	}
	return t.fail(req, err, cause.Error())
}

// progress records the progress of a request. A round tripper of the caller may not report
// it.
type progress struct{ traced, sent atomic.Bool }

// unsent reports whether a request that failed was certainly not done, because its
// headers were not sent yet.
func (p *progress) unsent() bool { return p.traced.Load() && !p.sent.Load() }

// build makes the HTTP request.
func (t *Transport) build(ctx context.Context, req *request, watch *watchdog, p *progress) (*http.Request, error) {
	if req.writes {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GetConn:      func(string) { p.traced.Store(true) },
			WroteHeaders: func() { p.sent.Store(true) },
		})
	}
	u := t.base
	u.Path += req.path // keys need no escaping
	u.RawQuery = req.query.Encode()
	ask, err := http.NewRequestWithContext(ctx, req.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if req.body != nil {
		ask.ContentLength = req.length
		ask.GetBody = func() (io.ReadCloser, error) { return &watchedBody{io.NopCloser(req.body()), watch.heard}, nil }
		ask.Body, _ = ask.GetBody()
		ask.Header[hContentType] = req.media
	}
	// Transparent decompression would hide lengths, and make small answers large.
	ask.Header["Accept-Encoding"] = []string{"identity"}
	if value := t.clientHeader(req.client); value != "" {
		ask.Header[hClient] = []string{value}
	}
	for _, source := range t.tokens {
		ask.Header[hAuthorization] = []string{"Bearer " + source.current(t.tokenLog)}
	}
	if req.origin != "" {
		ask.Header[hOrigin] = []string{req.origin}
	}
	if req.force {
		ask.Header[hForce] = valueTrue
	}
	if !req.seen.IsZero() {
		ask.Header[hSeen] = []string{req.seen.String()}
	}
	if req.requestID != "" {
		ask.Header[hIdempotencyKey] = []string{req.requestID}
	}
	return ask, nil
}

// infoValue is a client's header, which is made once.
type infoValue struct {
	info  conf.ClientInfo
	value string
}

func (t *Transport) clientHeader(info conf.ClientInfo) string {
	v := t.info.Load()
	if v == nil || !v.is(info) {
		v = &infoValue{info, encodeClient(info)}
		t.info.Store(v)
	}
	return v.value
}

func (v *infoValue) is(info conf.ClientInfo) bool {
	if v.info.ID != info.ID || v.info.App != info.App || v.info.Version != info.Version || len(v.info.Labels) != len(info.Labels) {
		return false
	}
	for name, value := range info.Labels {
		if had, ok := v.info.Labels[name]; !ok || had != value {
			return false
		}
	}
	return true
}

// watchdog ends a request whose peer has been silent for limit.
type watchdog struct {
	timer *time.Timer
	limit atomic.Int64 // nanoseconds
}

func (w *watchdog) heard() { w.timer.Reset(time.Duration(w.limit.Load())) }

// watchedBody calls heard at each read, because a slow transfer is not silence.
type watchedBody struct {
	io.ReadCloser
	heard func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && err == nil {
		b.heard()
	}
	return n, err
}

// position returns the position of an answer that must have one.
func position(res *http.Response) (conf.Position, error) {
	values := res.Header[hPosition]
	if len(values) != 1 {
		return conf.Position{}, conf.Errorf(conf.ErrInvalid, "has no position")
	}
	return conf.ParsePosition(values[0])
}

func flag(res *http.Response, name string) bool { return res.Header.Get(name) == "true" }

// stale returns the time since the server last confirmed its state with the storage,
// or 0 if it is current. A value that cannot be parsed is taken for a second.
func stale(res *http.Response) time.Duration {
	text := res.Header.Get(hStale)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return time.Second
	}
	return d
}

// frames calls each for every frame of an answer, as many times as its header says.
func (t *Transport) frames(res *http.Response, each func(f *frameReader) error) error {
	count, err := strconv.Atoi(res.Header.Get(hCount))
	if err != nil || count < 0 || count > maxFrames {
		return errFrame("answer does not say how many, or too many")
	}
	// The lines cost memory too, although they are no content.
	body := io.LimitReader(res.Body, t.maxAnswer+maxLines)
	f := &frameReader{r: bufio.NewReader(body), most: t.maxAnswer, left: t.maxAnswer}
	for range count {
		if err := each(f); err != nil {
			return cut(err)
		}
	}
	if _, err := f.r.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		return errFrame("more than the answer says")
	}
	return nil
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func keyPath(prefix string, key conf.Key) (string, error) {
	key = key.Canonical()
	if err := key.Validate(); err != nil {
		return "", err
	}
	return strings.Join([]string{prefix, key.Namespace, key.Group, key.DataID}, "/"), nil
}
