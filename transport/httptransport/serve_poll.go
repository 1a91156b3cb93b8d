package httptransport

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// sendPoll answers a native poll.
func (h *handler) sendPoll(w http.ResponseWriter, r *http.Request, _ *conf.PollRequest, res *conf.PollResponse) (httpserve.Outcome, bool) {
	header := w.Header()
	h.setPosition(header, res.Position)
	setStale(header, res.Stale)
	if res.Resync {
		header[hResync] = valueTrue
	}
	if res.Draining {
		header[hDraining] = valueTrue
		httpserve.CloseConnection(header)
	}
	var a answer
	for i := range res.Changed {
		s := &res.Changed[i]
		if s.Entry != nil {
			h.addEntry(&a, s.Entry)
		} else {
			a.addLine(lineOfState(s))
		}
	}
	for i := range res.Denied {
		d := &res.Denied[i]
		a.addLine(marshalLine(&deniedLine{d.Key.String(), httpserve.Clip(d.Detail)}))
	}
	return h.send(w, r, &a), true
}

// lineOfState returns the entryLine of a state without its value. Nothing in it needs
// quoting.
func lineOfState(s *conf.KeyState) string {
	b := make([]byte, 0, 160)
	b = append(append(b, `{"key":"`...), s.Key.String()...)
	b = strconv.AppendInt(append(b, `","revision":`...), s.Revision, 10)
	if s.View != s.Revision {
		b = strconv.AppendInt(append(b, `,"view":`...), s.View, 10)
	}
	if s.MD5 != "" {
		b = append(append(append(b, `,"md5":"`...), s.MD5...), '"')
	}
	return string(append(b, "}\n"...))
}

// readPoll reads a poll's request.
func (h *handler) readPoll(w http.ResponseWriter, r *http.Request) (*conf.PollRequest, error) {
	info, err := client(r)
	if err == nil {
		err = query(r, func(name, _ string) error { return httpserve.UnknownParam(name) })
	}
	if err != nil {
		return nil, err
	}
	body, err := httpserve.OpenBody(w, r, maxPoll)
	if err != nil {
		return nil, err
	}
	var req *conf.PollRequest
	if n := r.ContentLength; n > 0 && n <= maxRepeated {
		raw := make([]byte, n)
		if _, err = io.ReadFull(body, raw); err == nil {
			if req = repeatedPoll(raw); req == nil {
				req, err = decodePoll(bytes.NewReader(raw), body.Hold)
			}
		}
	} else {
		req, err = decodePoll(body, body.Hold)
	}
	if err = body.End(err); err != nil {
		return nil, err
	}
	req.Client = info
	return req, nil
}

// maxRepeated is the maximum size in bytes of a body that repeatedPoll decodes.
const maxRepeated = 512

// repeatedPoll decodes the body of a poll that names its set and no key, exactly as the
// client of this package writes it. It returns nil for any other body. When thousands of
// clients poll again after a change, most bodies are of this kind, and without a JSON
// decoder they take a fraction of the memory.
func repeatedPoll(raw []byte) *conf.PollRequest {
	rest, ok := strings.CutPrefix(string(raw), `{"set":"`)
	set, rest, ok1 := strings.Cut(rest, `","position":"`)
	position, rest, ok2 := strings.Cut(rest, `","wait":"`)
	wait, ok3 := strings.CutSuffix(rest, `"}`)
	if !ok || !ok1 || !ok2 || !ok3 || set == "" || strings.ContainsAny(set+position+wait, `"\`) {
		return nil
	}
	req := &conf.PollRequest{}
	var err1, err2 error
	req.Position, err1 = conf.ParsePosition(position)
	req.Wait, err2 = parseWait(wait)
	if err1 != nil || err2 != nil || nameSet(req, set) != nil {
		return nil // decodePoll returns the error
	}
	return req
}

// decodePoll decodes the body of a poll as it arrives. It calls hold with the memory
// that the elements of its lists take.
func decodePoll(body io.Reader, hold func(bytes int64) error) (*conf.PollRequest, error) {
	req := &conf.PollRequest{}
	var set string
	in := newJSONReader(body, hold)
	err := in.whole(func(name string) (err error) {
		var text string
		switch name {
		case "set":
			return in.value(name, &set)
		case "position":
			if err = in.value(name, &text); err == nil {
				req.Position, err = conf.ParsePosition(text)
			}
		case "wait":
			if err = in.value(name, &text); err == nil {
				req.Wait, err = parseWait(text)
			}
		case "keys":
			err = in.list(name, conf.MaxPollKeys, keyMemory, func() error { return decodeKey(in, req) })
		case "held":
			err = in.list(name, conf.MaxPollKeys, heldMemory, func() error { return decodeHeld(in, req) })
		default: // of a newer client, which does not depend on it
			err = in.skip()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return req, nameSet(req, set)
}

func decodeKey(in *jsonReader, req *conf.PollRequest) error {
	var text string
	if err := in.value("keys", &text); err != nil {
		return err
	}
	key, err := conf.ParseKey(text)
	req.Keys = append(req.Keys, key)
	return err
}

func decodeHeld(in *jsonReader, req *conf.PollRequest) error {
	var one heldBody
	if err := in.value("held", &one); err != nil {
		return err
	}
	held, err := one.held()
	req.Held = append(req.Held, held)
	return err
}

// nameSet sets the name of the set. The server checks a name that comes with keys.
func nameSet(req *conf.PollRequest, given string) error {
	switch {
	case given != "":
		if len(given) != 2*len(req.Set) {
			return conf.Errorf(conf.ErrInvalid, "set: not %d hexadecimal digits", 2*len(req.Set))
		}
		if _, err := hex.Decode(req.Set[:], []byte(given)); err != nil {
			return conf.Errorf(conf.ErrInvalid, "set: not %d hexadecimal digits", 2*len(req.Set))
		}
	case len(req.Keys) == 0:
		return conf.Errorf(conf.ErrInvalid, "keys: neither set nor keys given")
	default:
		req.Set = conf.HashKeys(req.Keys)
	}
	return nil
}

func (b *heldBody) held() (held conf.Held, err error) {
	if held.Key, err = conf.ParseKey(b.Key); err != nil {
		return held, err
	}
	if b.Revision < conf.AnyRevision {
		return held, conf.Errorf(conf.ErrInvalid, "revision of held: %d", b.Revision)
	}
	if b.MD5 != "" && !httpserve.IsMD5(b.MD5) {
		return held, conf.Errorf(conf.ErrInvalid, "md5 of held: not 32 lower-case hexadecimal digits")
	}
	held.Revision, held.MD5 = b.Revision, b.MD5
	return held, nil
}
