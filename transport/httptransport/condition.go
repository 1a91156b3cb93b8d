package httptransport

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// entityTag is the entity tag of a value: its revision and the digest of its content,
// which people may leave out.
type entityTag struct {
	revision int64 // 0 if the key must not exist
	md5      string
}

// condition returns the condition in If-Match or If-None-Match, or nil if there is none.
func condition(header http.Header) (*entityTag, error) {
	match, none := header.Get("If-Match"), header.Get("If-None-Match")
	switch {
	case match == "" && none == "":
		return nil, nil
	case match != "" && none != "":
		return nil, conf.Errorf(conf.ErrInvalid, "if-match and if-none-match: both given")
	case none == "*":
		return &entityTag{}, nil
	case none != "":
		return nil, conf.Errorf(conf.ErrInvalid, "if-none-match: only * is taken with a write")
	case match == "*":
		return nil, conf.Errorf(conf.ErrInvalid, "if-match: * is not taken, as no condition says that a key exists; give its entity tag")
	}
	revision, md5, _ := strings.Cut(strings.Trim(match, `"`), "-")
	n, err := strconv.ParseInt(revision, 10, 64)
	if err != nil || n < 1 || strings.ContainsAny(md5, `", `) {
		return nil, conf.Errorf(conf.ErrInvalid, "if-match: is not one entity tag of this server's")
	}
	return &entityTag{n, md5}, nil
}

// holds returns ErrConflict if the revision that tag names has another content. A
// storage that lost history may have given one revision to two values, which its own
// condition, on the revision, cannot tell apart. The storage checks whether the key
// has that revision now.
func (h *handler) holds(ctx context.Context, key conf.Key, tag *entityTag) error {
	if tag.md5 == "" {
		return nil
	}
	res, err := h.srv.Fetch(ctx, &conf.FetchRequest{Key: key})
	if err == nil && res.Entry.Revision < tag.revision { // this server may be behind
		res, err = h.srv.Fetch(ctx, &conf.FetchRequest{Key: key, Revision: tag.revision})
	}
	if err != nil || res.Entry.Revision != tag.revision || res.Entry.MD5 == tag.md5 {
		return nil // the commit will return what is wrong
	}
	return &conf.Error{
		Key: key, Err: conf.ErrConflict, Current: res.Entry.Revision,
		Detail: "if-match: revision " + strconv.FormatInt(tag.revision, 10) + " has another content",
	}
}
