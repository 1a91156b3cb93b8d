package httptransport

import (
	"encoding/hex"
	"net/http"
	"strconv"

	diamond "github.com/linnaname/gdiamond"
)

// sendPoll answers a native poll.
func (h *handler) sendPoll(w http.ResponseWriter, r *http.Request, _ *diamond.PollRequest, res *diamond.PollResponse) (outcome, bool) {
	header := w.Header()
	h.setPosition(header, res.Position)
	setStale(header, res.Stale)
	if res.Resync {
		header[hResync] = valueTrue
	}
	if res.Draining {
		header[hDraining] = valueTrue
		header[hConnection] = valueClose
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
	return a.send(w, r, true), true
}

// lineOfState returns the line of a state without its value, as entryLine has
// it. Nothing in it needs quoting.
func lineOfState(s *diamond.KeyState) string {
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
func (h *handler) readPoll(w http.ResponseWriter, r *http.Request) (*diamond.PollRequest, error) {
	info, err := client(r)
	if err == nil {
		err = query(r, func(name, _ string) error { return unknownParam(name) })
	}
	if err != nil {
		return nil, err
	}
	body, err := readBody(w, r, maxPoll)
	if err != nil {
		return nil, err
	}
	req, err := decodePoll(body)
	if err != nil {
		return nil, err
	}
	req.Client = info
	return req, nil
}

// decodePoll decodes the body of a poll.
func decodePoll(raw []byte) (*diamond.PollRequest, error) {
	var body pollBody
	if err := decodeJSON(raw, &body, true); err != nil {
		return nil, err
	}
	if n := max(len(body.Keys), len(body.Held)); n > diamond.MaxPollKeys {
		return nil, diamond.Errorf(diamond.ErrTooLarge, "keys: %d, more than %d", n, diamond.MaxPollKeys)
	}
	req := &diamond.PollRequest{}
	var err error
	if req.Wait, err = parseWait(body.Wait); err != nil {
		return nil, err
	}
	if req.Position, err = diamond.ParsePosition(body.Position); err != nil {
		return nil, err
	}
	if len(body.Keys) > 0 {
		req.Keys = make([]diamond.Key, len(body.Keys))
		for i, s := range body.Keys {
			if req.Keys[i], err = diamond.ParseKey(s); err != nil {
				return nil, err
			}
		}
	}
	if len(body.Held) > 0 {
		req.Held = make([]diamond.Held, len(body.Held))
		for i, held := range body.Held {
			if req.Held[i], err = held.held(); err != nil {
				return nil, err
			}
		}
	}
	return req, nameSet(req, body.Set)
}

// nameSet sets the name of the set. The server checks one that comes with keys.
func nameSet(req *diamond.PollRequest, given string) error {
	switch {
	case given != "":
		if len(given) != 2*len(req.Set) {
			return diamond.Errorf(diamond.ErrInvalid, "set: not %d hexadecimal digits", 2*len(req.Set))
		}
		if _, err := hex.Decode(req.Set[:], []byte(given)); err != nil {
			return diamond.Errorf(diamond.ErrInvalid, "set: not %d hexadecimal digits", 2*len(req.Set))
		}
	case len(req.Keys) == 0:
		return diamond.Errorf(diamond.ErrInvalid, "keys: neither set nor keys given")
	default:
		req.Set = diamond.HashKeys(req.Keys)
	}
	return nil
}

func (b *heldBody) held() (held diamond.Held, err error) {
	if held.Key, err = diamond.ParseKey(b.Key); err != nil {
		return held, err
	}
	if b.Revision < diamond.AnyRevision {
		return held, diamond.Errorf(diamond.ErrInvalid, "revision of held: %d", b.Revision)
	}
	if b.MD5 != "" && !isMD5(b.MD5) {
		return held, diamond.Errorf(diamond.ErrInvalid, "md5 of held: not 32 lower-case hexadecimal digits")
	}
	held.Revision, held.MD5 = b.Revision, b.MD5
	return held, nil
}

func isMD5(s string) bool {
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

// report serves POST /v1/reports.
func (h *handler) report(w http.ResponseWriter, r *http.Request) outcome {
	info, err := client(r)
	if err == nil {
		err = query(r, func(name, _ string) error { return unknownParam(name) })
	}
	var body reportsBody
	if err == nil {
		var raw []byte
		if raw, err = readBody(w, r, maxReports); err == nil {
			err = decodeJSON(raw, &body, true)
		}
	}
	req := &diamond.ReportRequest{Client: info, Reports: make([]diamond.Report, len(body.Reports))}
	for i, b := range body.Reports {
		if err != nil {
			break
		}
		req.Reports[i], err = b.report()
	}
	if err == nil {
		_, err = h.srv.Report(h.caller(r), req)
	}
	if err != nil {
		return fail(w, err, 0)
	}
	w.Header()[hCacheControl] = valueNoStore
	w.WriteHeader(http.StatusNoContent)
	return outcome{status: http.StatusNoContent}
}

func (b *reportBody) report() (report diamond.Report, err error) {
	report = diamond.Report{Revision: b.Revision, Applied: b.Applied, Reason: b.Reason}
	report.Key, err = diamond.ParseKey(b.Key)
	switch {
	case err != nil:
	case b.Revision < 1:
		err = diamond.Errorf(diamond.ErrInvalid, "revision of a report: %s", strconv.FormatInt(b.Revision, 10))
	case b.Applied && b.Reason != "", !b.Applied && b.Reason != "error" && b.Reason != "panic":
		err = diamond.Errorf(diamond.ErrInvalid, `reason: is "error" or "panic" where applied is false, else left out`)
	}
	return report, err
}
