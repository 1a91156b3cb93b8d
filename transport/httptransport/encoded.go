package httptransport

import (
	"net/http"
	"strconv"
	"sync"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// encoded is one version of one key as the native protocol encodes it, without the content.
// It is made once and shared by all answers.
type encoded struct {
	etag, contentLength, keyName, revisionText, viewText, md5, typ, modified, lastModified, meta []string

	line func() string // of its frame, with a length
}

func encode(e *conf.Entry) *encoded {
	revision := strconv.FormatInt(e.Revision, 10)
	modified := e.Modified.UTC()
	x := &encoded{
		etag:          []string{etagOf(revision, e.MD5)},
		contentLength: []string{strconv.Itoa(len(e.Content))},
		keyName:       []string{e.Key.String()},
		revisionText:  []string{revision},
		md5:           []string{e.MD5},
		modified:      []string{modified.Format(timeFormat)},
		lastModified:  []string{modified.Format(http.TimeFormat)},
	}
	if e.View != e.Revision {
		x.viewText = []string{strconv.FormatInt(e.View, 10)}
	}
	if e.Type != "" {
		x.typ = []string{e.Type}
	}
	if len(e.Meta) > 0 {
		x.meta = []string{encodePairs(e.Meta)}
	}
	meta := *e
	size := int64(len(e.Content))
	meta.Content = "" // values in an EntryCache should not keep contents
	x.line = sync.OnceValue(func() string { return lineOf(&meta, &size) })
	return x
}

func etagOf(revision, md5 string) string { return `"` + revision + "-" + md5 + `"` }

// set sets the headers of an answer.
func (x *encoded) set(h http.Header) {
	httpserve.SetType(h, valueBytes)
	h[hETag] = x.etag
	h[hContentLength] = x.contentLength
	h[hKey] = x.keyName
	h[hRevision] = x.revisionText
	h[hMD5] = x.md5
	h[hModified] = x.modified
	h[hLastModified] = x.lastModified
	if x.viewText != nil {
		h[hView] = x.viewText
	}
	if x.typ != nil {
		h[hType] = x.typ
	}
	if x.meta != nil {
		h[hMeta] = x.meta
	}
}
