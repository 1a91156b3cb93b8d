package httptransport

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// Fetch implements [diamond.Transport].
func (t *Transport) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	key := req.Key.Canonical()
	path, err := keyPath(pathConfigs, key)
	if err != nil {
		return nil, &conf.Error{Op: "fetch", Key: key, Err: err}
	}
	q := url.Values{}
	if req.Revision != 0 {
		q.Set("revision", strconv.FormatInt(req.Revision, 10))
	}
	set(q, "after", req.After.String())
	var out conf.FetchResponse
	err = t.do(ctx, &request{
		op: "fetch", key: key, method: http.MethodGet, path: path, query: q, client: req.Client, absent: req.Revision == 0,
	}, func(res *http.Response) (err error) {
		if out.Position, err = position(res); err != nil {
			return err
		}
		out.Stale = stale(res)
		if res.StatusCode == http.StatusNotFound {
			return nil
		}
		out.Found = true
		out.Entry, err = t.readEntry(res, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// readEntry reads an answer that is one entry: its content is the body.
func (t *Transport) readEntry(res *http.Response, key conf.Key) (e conf.Entry, err error) {
	h := res.Header
	if h.Get(hKey) != key.String() {
		return e, conf.Errorf(conf.ErrInvalid, "is to another key")
	}
	e = conf.Entry{Key: key, Type: h.Get(hType), MD5: h.Get(hMD5)}
	if e.Revision, err = strconv.ParseInt(h.Get(hRevision), 10, 64); err != nil || e.Revision < 1 {
		return e, conf.Errorf(conf.ErrInvalid, "has no revision")
	}
	e.View = e.Revision
	if text := h.Get(hView); text != "" {
		if e.View, err = strconv.ParseInt(text, 10, 64); err != nil {
			return e, conf.Errorf(conf.ErrInvalid, "has no good view")
		}
	}
	if e.Modified, err = time.Parse(time.RFC3339Nano, h.Get(hModified)); err != nil {
		return e, conf.Errorf(conf.ErrInvalid, "has no time")
	}
	e.Modified = e.Modified.UTC()
	if e.Meta, err = parsePairs(h.Get(hMeta)); err != nil {
		return e, err
	}
	var b strings.Builder
	limit := t.maxAnswer + 1
	if n := res.ContentLength; n >= 0 && n < limit {
		b.Grow(int(min(n, 256<<10)))
		limit = n + 1
	}
	n, err := io.Copy(&b, io.LimitReader(res.Body, limit))
	if err != nil {
		return e, err
	}
	if n > t.maxAnswer {
		return e, conf.Errorf(conf.ErrInvalid, "has more than %d bytes", t.maxAnswer)
	}
	e.Content, e.Size = b.String(), n
	return e, checkContent(&e)
}

// List implements [diamond.Transport].
func (t *Transport) List(ctx context.Context, req *conf.ListRequest) (*conf.ListResponse, error) {
	q := url.Values{}
	set(q, "namespace", req.Namespace)
	set(q, "group", req.Group)
	set(q, "prefix", req.Prefix)
	if req.After != (conf.Key{}) {
		q.Set("after", req.After.String())
	}
	if req.Limit != 0 {
		q.Set("limit", strconv.Itoa(req.Limit))
	}
	if req.Contents {
		q.Set("contents", "true")
	}
	var out conf.ListResponse
	err := t.do(ctx, &request{op: "list", method: http.MethodGet, path: pathConfigs, query: q, client: req.Client, seen: req.Seen}, func(res *http.Response) (err error) {
		if out.Position, err = position(res); err != nil {
			return err
		}
		out.More, out.Partial, out.Stale = flag(res, hMore), flag(res, hPartial), stale(res)
		return t.frames(res, func(f *frameReader) error {
			var line entryLine
			content, err := f.next(&line)
			if err != nil {
				return err
			}
			e, err := line.entry(content)
			out.Entries = append(out.Entries, e)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// Changes implements [diamond.Transport].
func (t *Transport) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	q := url.Values{}
	set(q, "after", req.After.String())
	set(q, "namespace", req.Namespace)
	set(q, "group", req.Group)
	set(q, "prefix", req.Prefix)
	if req.Contents {
		q.Set("contents", "true")
	}
	if req.Wait > 0 {
		q.Set("wait", req.Wait.String())
	}
	var out conf.ChangesResponse
	err := t.do(ctx, &request{
		op: "changes", method: http.MethodGet, path: pathChanges, query: q, client: req.Client, wait: waitOf(req.Wait),
	}, func(res *http.Response) (err error) {
		if out.Position, err = position(res); err != nil {
			return err
		}
		out.More, out.Draining = flag(res, hMore), flag(res, hDraining)
		out.Changes, err = t.readChanges(res)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func (t *Transport) readChanges(res *http.Response) (changes []conf.Change, err error) {
	err = t.frames(res, func(f *frameReader) error {
		var line changeLine
		content, err := f.next(&line)
		if err != nil {
			return err
		}
		c, err := line.change(content)
		changes = append(changes, c)
		return err
	})
	return changes, err
}

// History implements [diamond.Transport].
func (t *Transport) History(ctx context.Context, req *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	key := req.Key.Canonical()
	path, err := keyPath(pathHistory, key)
	if err != nil {
		return nil, &conf.Error{Op: "history", Key: key, Err: err}
	}
	q := url.Values{}
	if req.Before != 0 {
		q.Set("before", strconv.FormatInt(req.Before, 10))
	}
	if req.Limit != 0 {
		q.Set("limit", strconv.Itoa(req.Limit))
	}
	var out conf.HistoryResponse
	err = t.do(ctx, &request{op: "history", key: key, method: http.MethodGet, path: path, query: q, client: req.Client, seen: req.Seen}, func(res *http.Response) (err error) {
		out.Changes, err = t.readChanges(res)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}
