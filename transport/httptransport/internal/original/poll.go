package original

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

const (
	// maxPoll is the maximum size of the body of a poll in bytes.
	maxPoll = 4 << 20
	// pollWait is the wait of a poll that asks for no time, or for one that makes no sense.
	pollWait = 30 * time.Second
	// maxPollWait is the longest wait of a poll. The original client gives up after 90 s.
	maxPollWait = 80 * time.Second
	// probeField is the parameter of a poll.
	probeField = "Probe-Modify-Request"
)

// leaveOut removes the keys that the caller may not read from req, because this protocol
// has no answer for such a key, and a client must not think that it was deleted. It
// reports whether any key is left.
func leaveOut(req *conf.PollRequest, denied []conf.Denial) bool {
	out := make(map[conf.Key]bool, len(denied))
	for i := range denied {
		out[denied[i].Key] = true
	}
	req.Keys = slices.DeleteFunc(req.Keys, func(k conf.Key) bool { return out[k] })
	req.Held = slices.DeleteFunc(req.Held, func(h conf.Held) bool { return out[h.Key] })
	req.Set = conf.HashKeys(req.Keys)
	return len(req.Keys) > 0
}

// sendPoll answers a poll. It does not mention keys that the client may not read,
// and refuses a poll of such keys alone. If a key is denied after a wait, it answers,
// and the client asks again.
func sendPoll(w http.ResponseWriter, _ *http.Request, req *conf.PollRequest, res *conf.PollResponse) (httpserve.Outcome, bool) {
	if len(res.Denied) > 0 && req != nil {
		if !leaveOut(req, res.Denied) {
			return fail(w, conf.Errorf(conf.ErrDenied, "%s: no key of it may be read", probeField), 0), true
		}
		if len(res.Changed) == 0 {
			return httpserve.Outcome{}, false
		}
	}
	header := w.Header()
	header[hCacheControl] = valueNoStore
	if res.Draining {
		httpserve.CloseConnection(header)
	}
	out := httpserve.Outcome{Status: http.StatusNotModified}
	if len(res.Changed) == 0 {
		httpserve.BeginAnswer(w, 0)
		w.WriteHeader(out.Status)
		return out, true
	}
	var list strings.Builder
	for i := range res.Changed {
		key := &res.Changed[i].Key
		list.WriteString(key.DataID + "," + key.Group + ";")
	}
	body := url.QueryEscape(list.String())
	httpserve.SetType(header, valueText)
	header[hContentLength] = []string{strconv.Itoa(len(body))}
	out.Status, out.Bytes = http.StatusOK, int64(len(body))
	httpserve.BeginAnswer(w, out.Bytes)
	_, _ = io.WriteString(w, body) // the peer may have gone
	return out, true
}

// readPoll reads a poll.
func readPoll(w http.ResponseWriter, r *http.Request) (*conf.PollRequest, error) {
	params, err := httpserve.ReadParams(w, r, maxPoll, func(name string) (int64, error) {
		if name != probeField {
			return 0, httpserve.UnknownParam(name)
		}
		return maxPoll, nil
	})
	if err != nil {
		return nil, err
	}
	probe, _ := params.Find(probeField)
	// A copy, because the probe is a part of the whole body, which it would keep in memory.
	held, err := parseProbe(strings.Clone(probe), func(bytes int64) error { return httpserve.Hold(r, bytes) })
	if err != nil {
		return nil, err
	}
	req := &conf.PollRequest{Held: held, Keys: make([]conf.Key, len(held)), Wait: waitOf(r.Header)}
	for i := range held {
		req.Keys[i] = held[i].Key
	}
	req.Set = conf.HashKeys(req.Keys)
	return req, nil
}

// waitOf returns the wait of a poll.
func waitOf(header http.Header) time.Duration {
	values := header[hPollTimeout]
	if len(values) != 1 {
		return pollWait
	}
	ms, err := strconv.ParseInt(strings.TrimSpace(values[0]), 10, 64)
	if err != nil || ms <= 0 {
		return pollWait
	}
	return min(time.Duration(min(ms, maxPollWait.Milliseconds()))*time.Millisecond, maxPollWait)
}

// parseProbe reads "dataId,group,md5;" for each key. The original client
// leaves the ; out after a key whose data id it watches in one group only. What
// follows is then glued to the digest, and is cut off there. It calls hold
// with the memory that each key takes.
func parseProbe(probe string, hold func(bytes int64) error) ([]conf.Held, error) {
	if probe == "" {
		return nil, conf.Errorf(conf.ErrInvalid, "%s: is missing or empty", probeField)
	}
	var held []conf.Held
	seen := make(map[conf.Key]bool)
	add := func(dataID, group, md5 string) error {
		key := conf.NewKey(group, dataID)
		if err := key.Validate(); err != nil {
			return err
		}
		if md5 != "" && !httpserve.IsMD5(md5) {
			return conf.Errorf(conf.ErrInvalid, "%s: md5 of entry %d is not 32 lower-case hexadecimal digits", probeField, len(held)+1)
		}
		if seen[key] {
			return conf.Errorf(conf.ErrInvalid, "%s: %s comes more than once", probeField, key)
		}
		if len(held) == conf.MaxPollKeys {
			return conf.Errorf(conf.ErrTooLarge, "%s: more than %d keys", probeField, conf.MaxPollKeys)
		}
		if err := hold(httpserve.HeldMemory); err != nil {
			return err
		}
		seen[key] = true
		held = append(held, conf.Held{Key: key, Revision: conf.AnyRevision, MD5: md5})
		return nil
	}
	for part := range strings.SplitSeq(probe, ";") {
		if part == "" {
			continue // after the last one
		}
		switch commas := strings.Count(part, ","); {
		case commas == 1: // an md5 that is left out
			part += ","
		case commas%2 == 1 || commas == 0:
			return nil, conf.Errorf(conf.ErrInvalid, "%s: entry %d is not dataId,group,md5", probeField, len(held)+1)
		}
		dataID, rest, _ := strings.Cut(part, ",")
		for glued := true; glued; {
			var group, md5, next string
			group, rest, _ = strings.Cut(rest, ",")
			if md5, rest, glued = strings.Cut(rest, ","); glued {
				md5, next = unglue(md5)
			}
			if err := add(dataID, group, md5); err != nil {
				return nil, err
			}
			dataID = next
		}
	}
	if len(held) == 0 {
		return nil, conf.Errorf(conf.ErrInvalid, "%s: names no key", probeField)
	}
	return held, nil
}

// unglue cuts "<md5>dataId", where the md5 may be missing.
func unglue(s string) (md5, dataID string) {
	if len(s) > 32 && httpserve.IsMD5(s[:32]) {
		return s[:32], s[32:]
	}
	return "", s
}
