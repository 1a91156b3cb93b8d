package httptransport

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// Commit implements [diamond.Transport].
func (t *Transport) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	changes := &req.Set
	if !headerSafe(changes.RequestID) {
		return nil, &conf.Error{Op: "commit", Err: conf.ErrInvalid, Detail: "requestId: holds bytes that are not of the key grammar"}
	}
	if !headerSafe(changes.Origin) {
		return nil, &conf.Error{Op: "commit", Err: conf.ErrInvalid, Detail: "origin: holds bytes that are not of the key grammar"}
	}
	parts, length := encodeSet(changes)
	q := url.Values{}
	set(q, "comment", changes.Comment)
	var out conf.CommitResponse
	err := t.do(ctx, &request{
		op: "commit", key: changes.OnlyKey(), method: http.MethodPost, path: pathChangesets, query: q, client: req.Client, seen: req.Seen,
		origin: changes.Origin, force: changes.Force,
		requestID: changes.RequestID, body: func() io.Reader { return readParts(parts) }, length: length, media: valueBytes, writes: true,
	}, func(res *http.Response) (err error) {
		// The headers have everything: an answer that is cut off after them is complete.
		out.Position, err = position(res)
		out.Replayed = flag(res, hReplayed)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func headerSafe(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// encodeSet returns the frames of a set. Contents are not copied.
func encodeSet(s *conf.ChangeSet) (parts []string, length int64) {
	add := func(more ...string) {
		parts = append(parts, more...)
		for _, p := range more {
			length += int64(len(p))
		}
	}
	for i := range s.Checks {
		c := &s.Checks[i]
		add(marshalLine(&setLine{Op: "check", Key: c.Key.String(), Revision: &c.Revision}))
	}
	for i := range s.Drafts {
		d := &s.Drafts[i]
		n := int64(len(d.Content))
		add(marshalLine(&setLine{
			Op: "publish", Key: d.Key.String(), Type: d.Type, Meta: d.Meta, Reset: d.Reset,
			AllowEmpty: d.AllowEmpty, IfRevision: d.IfRevision, Length: &n,
		}), d.Content, "\n")
	}
	for i := range s.Deletes {
		d := &s.Deletes[i]
		add(marshalLine(&setLine{Op: "delete", Key: d.Key.String(), IfRevision: d.IfRevision}))
	}
	return parts, length
}

func readParts(parts []string) io.Reader {
	readers := make([]io.Reader, len(parts))
	for i, p := range parts {
		readers[i] = strings.NewReader(p)
	}
	return io.MultiReader(readers...)
}
