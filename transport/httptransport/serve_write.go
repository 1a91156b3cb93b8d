package httptransport

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// publish serves PUT of a key: the body is the content.
func (h *handler) publish(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	draft := conf.Draft{}
	set := conf.ChangeSet{}
	err := h.writeRequest(r, &set, &draft.Key, &draft.IfRevision, func(name, value string) (err error) {
		switch name {
		case "type":
			draft.Type = value
		case "reset":
			draft.Reset, err = parseBool(name, value)
		case "allowEmpty":
			draft.AllowEmpty, err = parseBool(name, value)
		default:
			err = httpserve.UnknownParam(name)
		}
		return err
	})
	if err == nil {
		draft.Meta, err = parsePairs(r.Header.Get(hMeta))
	}
	if err == nil {
		draft.Content, err = h.readContent(w, r)
	}
	if err != nil {
		return h.failWrite(w, err)
	}
	set.Drafts = []conf.Draft{draft}
	return h.commit(w, r, set)
}

// remove serves DELETE of a key.
func (h *handler) remove(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	del := conf.Delete{}
	set := conf.ChangeSet{}
	err := h.writeRequest(r, &set, &del.Key, &del.IfRevision, func(name, _ string) error { return httpserve.UnknownParam(name) })
	if err == nil && r.ContentLength != 0 {
		httpserve.CloseConnection(w.Header())
		err = conf.Errorf(conf.ErrInvalid, "body: a deletion has none")
	}
	if err != nil {
		return h.failWrite(w, err)
	}
	set.Deletes = []conf.Delete{del}
	return h.commit(w, r, set)
}

// writeRequest reads the parts that all writes of one key have in common, and calls
// more with the other parameters.
func (h *handler) writeRequest(r *http.Request, set *conf.ChangeSet, key *conf.Key, ifRevision **int64, more func(name, value string) error) (err error) {
	if *key, err = pathKey(r, pathConfigs); err != nil {
		return err
	}
	tag, err := condition(r.Header)
	if err != nil {
		return err
	}
	if tag != nil {
		*ifRevision = &tag.revision
	}
	if err = setHeaders(r, set); err != nil {
		return err
	}
	err = query(r, func(name, value string) error {
		switch name {
		case "comment":
			set.Comment = value
		case "ifRevision":
			n, err := parseNumber(name, value)
			if err != nil {
				return err
			}
			if *ifRevision != nil {
				return conf.Errorf(conf.ErrInvalid, "ifRevision: given as a parameter and as a header")
			}
			*ifRevision = &n
		default:
			return more(name, value)
		}
		return nil
	})
	if err != nil || tag == nil {
		return err
	}
	return h.holds(httpserve.Caller(r), *key, tag)
}

// setHeaders reads the headers that all writes have in common.
func setHeaders(r *http.Request, set *conf.ChangeSet) (err error) {
	set.RequestID = r.Header.Get(hIdempotencyKey)
	if set.Origin, err = oneHeader(r, hOrigin); err != nil {
		return err
	}
	force, err := oneHeader(r, hForce)
	if err == nil && force != "" {
		set.Force, err = parseBool("diamond-force", force)
	}
	return err
}

// readContent reads a body that is one content.
func (h *handler) readContent(w http.ResponseWriter, r *http.Request) (string, error) {
	body, err := httpserve.OpenBody(w, r, h.maxContent)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(int(min(max(r.ContentLength, 0), 256<<10)))
	_, err = io.Copy(&b, body)
	return b.String(), body.End(err)
}

// commitSet serves POST of a change set: a frame for each change and check.
func (h *handler) commitSet(w http.ResponseWriter, r *http.Request) httpserve.Outcome {
	set := conf.ChangeSet{}
	err := setHeaders(r, &set)
	if err == nil {
		err = query(r, func(name, value string) error {
			if name != "comment" {
				return httpserve.UnknownParam(name)
			}
			set.Comment = value
			return nil
		})
	}
	if err == nil {
		err = h.readSet(w, r, &set)
	}
	if err != nil {
		return fail(w, err, 0)
	}
	return h.commit(w, r, set)
}

func (h *handler) readSet(w http.ResponseWriter, r *http.Request, set *conf.ChangeSet) error {
	contents := max(conf.MaxSetBytes, h.maxContent)
	body, err := httpserve.OpenBody(w, r, contents+setLines)
	if err != nil {
		return err
	}
	return body.ReadBuffered(func(buffer *bufio.Reader) error {
		return readFrames(&frameReader{
			r: buffer, strict: true, most: h.maxContent, left: contents,
		}, set, body.Hold)
	})
}

// readFrames adds the changes and checks of frames to set. It calls hold with the
// memory that each takes.
func readFrames(frames *frameReader, set *conf.ChangeSet, hold func(bytes int64) error) error {
	for range 2*conf.MaxChanges + 1 {
		var line setLine
		content, err := frames.next(&line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = hold(changeMemory)
		}
		if err == nil {
			err = line.addTo(set, content)
		}
		if err != nil {
			return err
		}
	}
	return conf.Errorf(conf.ErrInvalid, "change set: more than %d changes and as many checks", conf.MaxChanges)
}

// commit commits set and answers with its position.
func (h *handler) commit(w http.ResponseWriter, r *http.Request, set conf.ChangeSet) httpserve.Outcome {
	req := &conf.CommitRequest{Set: set}
	var err error
	if req.Client, err = client(r); err == nil {
		req.Seen, err = seen(r)
	}
	if err != nil {
		return fail(w, err, 0)
	}
	res, err := h.srv.Commit(httpserve.Caller(r), req)
	if err != nil {
		return h.failWrite(w, err)
	}
	header, position := w.Header(), res.Position.String()
	header[hPosition] = []string{position}
	header[hRevision] = []string{strconv.FormatInt(res.Position.Revision, 10)}
	if res.Replayed {
		header[hReplayed] = valueTrue
	}
	body, _ := json.Marshal(committedBody{res.Position.Revision, position, res.Replayed})
	writeJSON(w, http.StatusOK, append(body, '\n'))
	return httpserve.Outcome{Status: http.StatusOK, Bytes: int64(len(body)) + 1}
}

// failWrite is fail for a write. If the error is about the state that a condition met,
// the answer has a position.
func (h *handler) failWrite(w http.ResponseWriter, err error) httpserve.Outcome {
	if status := httpserve.FailureOf(err, 0).Status; status == http.StatusNotFound || status == http.StatusConflict {
		h.setPosition(w.Header(), h.srv.Status().Position)
	}
	return fail(w, err, 0)
}
