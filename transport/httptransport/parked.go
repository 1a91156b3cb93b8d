package httptransport

import (
	"context"
	"net/http"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/internal/apart"
)

// pollWire is what the two protocols do differently about a poll.
type pollWire struct {
	route string
	read  func(w http.ResponseWriter, r *http.Request) (*diamond.PollRequest, error)
	// answer writes the answer. Where that would say nothing to the client it
	// leaves it, changes req, and returns false: then req is asked again.
	// Req is nil where the poll has waited.
	answer func(w http.ResponseWriter, r *http.Request, req *diamond.PollRequest, res *diamond.PollResponse) (outcome, bool)
	fail   func(w http.ResponseWriter, err error, status int) outcome
}

// poll is one poll. Thousands are parked at a time, and most of what they take
// is the stacks that they wait on. So what goes deep is done apart, the frames
// below the wait are few and small, and nothing is kept that is not needed.
type poll struct {
	h     *handler
	wire  *pollWire
	w     http.ResponseWriter
	r     *http.Request
	start time.Time
	until time.Time       // when the wait is over
	ctx   context.Context // of the request
	body  *body           // nil where it holds nothing of the budget
	req   *diamond.PollRequest
	out   outcome
}

func (h *handler) servePoll(w http.ResponseWriter, r *http.Request, wire *pollWire) {
	p := &poll{h: h, wire: wire, w: w, r: r}
	apart.Run(p.begin)
	defer p.body.release(0)
	for p.out.status == 0 {
		p.end(h.srv.Poll(p.ctx, p.req))
	}
	p.out.route, p.out.poll = wire.route, true
	h.record(p.r, &p.out, p.start)
}

// begin reads the request, and answers it where it is refused.
func (p *poll) begin() {
	r, body := p.h.receive(p.w, p.r)
	p.start = p.h.now(p.r)
	err, status := p.h.guard.check(p.r, false), 0
	if p.r.Method != http.MethodPost {
		p.w.Header()["Allow"] = []string{http.MethodPost}
		err, status = wrongMethod(p.r, http.MethodPost), http.StatusMethodNotAllowed
	}
	if err == nil {
		err = p.h.enter(p.w, p.r, false)
	}
	if err == nil {
		p.req, err = p.wire.read(p.w, r)
	}
	if body != nil && body.share.held > 0 {
		p.body = body // the rest is not kept while the poll waits: r, and what the body is read from
	}
	if err != nil {
		p.out = p.wire.fail(p.w, err, status)
		return
	}
	p.ctx, p.until = p.h.caller(p.r), time.Now().Add(p.req.Wait)
	p.req.Parked = p.parked
}

// parked lets go of the request, which begins to wait, and of its share of the
// budget but for what the server keeps: what the client holds, where it said so.
func (p *poll) parked() {
	p.body.release(int64(len(p.req.Held)) * parkedMemory)
	p.req = nil
}

// end answers, unless there is nothing to say yet.
func (p *poll) end(res *diamond.PollResponse, err error) {
	if err != nil {
		p.out = p.wire.fail(p.w, err, 0)
		return
	}
	out, ok := p.wire.answer(p.w, p.r, p.req, res)
	if !ok {
		p.req.Wait = max(time.Until(p.until), 0)
		return
	}
	p.out = out
	p.out.notified = res.Applied
}
