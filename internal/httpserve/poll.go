package httpserve

import (
	"context"
	"net/http"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/freshstack"
)

// parkedMemory is the number of bytes that a server keeps of one element of held while a
// poll waits: its place in the set, its revision and its digest.
const parkedMemory = 32

// Poll reads and answers a request of a protocol that may wait. It comes by POST.
type Poll struct {
	Read func(w http.ResponseWriter, r *http.Request) (*conf.PollRequest, error)
	// Answer writes the answer. If the answer would have nothing for the client, Answer
	// writes none, changes req, and returns false. The handler then polls the server again.
	// Req is nil if the poll has waited.
	Answer func(w http.ResponseWriter, r *http.Request, req *conf.PollRequest, res *conf.PollResponse) (Outcome, bool)
}

// poll is one poll. Thousands are parked at a time, and their stacks are most of the
// memory that they take. So deep calls run on another stack, the frames below the wait are
// few and small, and the poll keeps only what it needs.
type poll struct {
	h     *Handler
	route *Route
	w     http.ResponseWriter
	r     *http.Request
	start time.Time
	until time.Time       // the end of the wait
	ctx   context.Context // of the request
	body  *Body           // or nil if it takes nothing of the budget
	req   *conf.PollRequest
	out   Outcome
}

func (h *Handler) servePoll(w http.ResponseWriter, r *http.Request, route *Route) {
	p := &poll{h: h, route: route, w: w, r: r}
	freshstack.Run(p.begin)
	defer p.body.release(0)
	for p.out.Status == 0 {
		p.end(h.Server.Poll(p.ctx, p.req))
	}
	p.out.route, p.out.Poll = p.route.Name, true
	h.record(p.r, &p.out, p.start)
}

// begin reads the request, and answers it if it is refused.
func (p *poll) begin() {
	r, body := p.h.receive(p.w, p.r)
	p.start = p.h.now(p.r)
	err, status := p.h.guard.check(p.r, false), 0
	if p.r.Method != http.MethodPost {
		p.w.Header()["Allow"] = []string{http.MethodPost}
		err, status = wrongMethod(p.r, http.MethodPost), http.StatusMethodNotAllowed
	}
	if err == nil {
		r, err = p.h.enter(p.w, r, body, p.route.Open)
	}
	if err == nil {
		p.req, err = p.route.Poll.Read(p.w, r)
	}
	if body != nil && body.memory.held > 0 {
		p.body = body // otherwise the poll keeps neither r nor what the body is read from
	}
	if err != nil {
		p.out = p.route.Fail(p.w, err, status)
		return
	}
	p.ctx, p.until = Caller(r), time.Now().Add(p.req.Wait)
	p.req.Parked = p.parked
}

// parked is called when the request begins to wait. It drops the request and its memory of
// the budget, except for the elements of held, which the server keeps.
func (p *poll) parked() {
	p.body.release(int64(len(p.req.Held)) * parkedMemory)
	p.req = nil
}

// end writes the answer, unless there is nothing for the client yet.
func (p *poll) end(res *conf.PollResponse, err error) {
	if err != nil {
		p.out = p.route.Fail(p.w, err, 0)
		return
	}
	r := p.r
	if conf.CallerFrom(p.ctx).Principal != (conf.Principal{}) {
		r = r.WithContext(identified{p.ctx}) // made again, so that a parked poll need not keep it
	}
	out, ok := p.route.Poll.Answer(p.w, r, p.req, res)
	if !ok {
		p.req.Wait = max(time.Until(p.until), 0)
		return
	}
	p.out = out
	p.out.notified = res.Applied
}

// IsMD5 reports whether s has the form of digests in polls: 32 lower-case hexadecimal
// digits.
func IsMD5(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
