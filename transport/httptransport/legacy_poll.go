package httptransport

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// The wait of an original client's poll. It gives up itself after 90 s.
const (
	legacyWait    = 30 * time.Second // where none is asked for, or none that makes sense
	legacyMaxWait = 80 * time.Second
	legacyMaxPoll = 4 << 20 // bytes of body
	legacyField   = "Probe-Modify-Request"
)

// leaveOut takes the keys that the caller may not read out of req: this protocol
// cannot say that of a key, and none of its clients must take one of them for
// deleted. It reports whether any key is left.
func leaveOut(req *diamond.PollRequest, denied []diamond.Denial) bool {
	out := make(map[diamond.Key]bool, len(denied))
	for i := range denied {
		out[denied[i].Key] = true
	}
	req.Keys = slices.DeleteFunc(req.Keys, func(k diamond.Key) bool { return out[k] })
	req.Held = slices.DeleteFunc(req.Held, func(h diamond.Held) bool { return out[h.Key] })
	req.Set = diamond.HashKeys(req.Keys)
	return len(req.Keys) > 0
}

// sendLegacyPoll answers an original client's poll. It says nothing of keys that
// its client may not read: where all are such, it is refused. Where one is denied
// after a wait it answers, and its client asks again.
func sendLegacyPoll(w http.ResponseWriter, _ *http.Request, req *diamond.PollRequest, res *diamond.PollResponse) (outcome, bool) {
	if len(res.Denied) > 0 && req != nil {
		if !leaveOut(req, res.Denied) {
			return failText(w, diamond.Errorf(diamond.ErrDenied, "%s: no key of it may be read", legacyField), 0), true
		}
		if len(res.Changed) == 0 {
			return outcome{}, false
		}
	}
	header := w.Header()
	header[hCacheControl] = valueNoStore
	if res.Draining {
		header[hConnection] = valueClose
	}
	out := outcome{status: http.StatusNotModified}
	if len(res.Changed) == 0 {
		beginAnswer(w, 0)
		w.WriteHeader(out.status)
		return out, true
	}
	var list strings.Builder
	for i := range res.Changed {
		key := &res.Changed[i].Key
		list.WriteString(key.DataID + "," + key.Group + ";")
	}
	body := url.QueryEscape(list.String())
	setText(header)
	header[hContentLength] = []string{strconv.Itoa(len(body))}
	out.status, out.bytes = http.StatusOK, int64(len(body))
	beginAnswer(w, out.bytes)
	_, _ = io.WriteString(w, body) // a peer that has gone is no matter of ours
	return out, true
}

func (h *handler) readLegacyPoll(w http.ResponseWriter, r *http.Request) (*diamond.PollRequest, error) {
	params, err := readParams(w, r, legacyMaxPoll, func(name string) (int64, error) {
		if name != legacyField {
			return 0, unknownParam(name)
		}
		return legacyMaxPoll, nil
	})
	if err != nil {
		return nil, err
	}
	probe, _ := find(params, legacyField)
	hold := func(int64) error { return nil }
	if body, ok := r.Body.(*body); ok {
		hold = body.hold // until the answer, which needs what is held
	}
	held, err := parseProbe(strings.Clone(probe), hold) // not the whole body, in which it lies
	if err != nil {
		return nil, err
	}
	req := &diamond.PollRequest{Held: held, Keys: make([]diamond.Key, len(held)), Wait: legacyTimeout(r.Header)}
	for i := range held {
		req.Keys[i] = held[i].Key
	}
	req.Set = diamond.HashKeys(req.Keys)
	return req, nil
}

func legacyTimeout(header http.Header) time.Duration {
	values := header[hPollTimeout]
	if len(values) != 1 {
		return legacyWait
	}
	ms, err := strconv.ParseInt(strings.TrimSpace(values[0]), 10, 64)
	if err != nil || ms <= 0 {
		return legacyWait
	}
	return min(time.Duration(min(ms, legacyMaxWait.Milliseconds()))*time.Millisecond, legacyMaxWait)
}

// parseProbe reads "dataId,group,md5;" for each key. The original client
// leaves the ; out after a key whose data id it watches in one group only, so
// that what follows is glued to the digest: it is cut off there. Hold is told of
// the memory that the keys take.
func parseProbe(probe string, hold func(bytes int64) error) ([]diamond.Held, error) {
	if probe == "" {
		return nil, diamond.Errorf(diamond.ErrInvalid, "%s: is missing or empty", legacyField)
	}
	var held []diamond.Held
	seen := make(map[diamond.Key]bool)
	add := func(dataID, group, md5 string) error {
		key := diamond.NewKey(group, dataID)
		if err := key.Validate(); err != nil {
			return err
		}
		if md5 != "" && !isMD5(md5) {
			return diamond.Errorf(diamond.ErrInvalid, "%s: md5 of entry %d is not 32 lower-case hexadecimal digits", legacyField, len(held)+1)
		}
		if seen[key] {
			return diamond.Errorf(diamond.ErrInvalid, "%s: %s comes more than once", legacyField, key)
		}
		if len(held) == diamond.MaxPollKeys {
			return diamond.Errorf(diamond.ErrTooLarge, "%s: more than %d keys", legacyField, diamond.MaxPollKeys)
		}
		if err := hold(heldMemory); err != nil {
			return err
		}
		seen[key] = true
		held = append(held, diamond.Held{Key: key, Revision: diamond.AnyRevision, MD5: md5})
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
			return nil, diamond.Errorf(diamond.ErrInvalid, "%s: entry %d is not dataId,group,md5", legacyField, len(held)+1)
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
		return nil, diamond.Errorf(diamond.ErrInvalid, "%s: names no key", legacyField)
	}
	return held, nil
}

// unglue cuts "<md5>dataId", where the md5 may be missing.
func unglue(s string) (md5, dataID string) {
	if len(s) > 32 && isMD5(s[:32]) {
		return s[:32], s[32:]
	}
	return "", s
}
