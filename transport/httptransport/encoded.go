package httptransport

import (
	"hash/maphash"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// encoded is all that the wire says of one version of one key, but for its
// content: made once, shared by every answer.
type encoded struct {
	key            diamond.Key
	revision, view int64
	published      time.Time // with md5: which value of the revision, see is

	etag, contentLength, keyName, revisionText, viewText, md5, typ, modified, lastModified, meta []string

	contentMD5, legacyETag []string // of the original protocol

	line func() string // of its frame, with a length
}

// encodings holds encoded entries in a table of fixed size. A key has one
// place, which it may share with others: the newest to come stays. So the
// table needs no lock, no eviction, and is never full.
type encodings struct {
	seed  maphash.Seed
	slots [1 << 13]atomic.Pointer[encoded]
}

func newEncodings() *encodings { return &encodings{seed: maphash.MakeSeed()} }

// of returns the encoded form of e.
func (t *encodings) of(e *diamond.Entry) *encoded {
	slot := &t.slots[maphash.Comparable(t.seed, e.Key)%uint64(len(t.slots))]
	if x := slot.Load(); x != nil && x.is(e) {
		return x
	}
	x := encode(e)
	slot.Store(x)
	return x
}

// is reports whether x is of e. A storage that lost history may have another
// value at the same revision.
func (x *encoded) is(e *diamond.Entry) bool {
	return x.revision == e.Revision && x.view == e.View && x.key == e.Key &&
		x.md5[0] == e.MD5 && x.published.Equal(e.Modified)
}

func encode(e *diamond.Entry) *encoded {
	revision := strconv.FormatInt(e.Revision, 10)
	modified := e.Modified.UTC()
	x := &encoded{
		key: e.Key, revision: e.Revision, view: e.View, published: e.Modified,
		etag:          []string{etagOf(revision, e.MD5)},
		contentLength: []string{strconv.Itoa(len(e.Content))},
		keyName:       []string{e.Key.String()},
		revisionText:  []string{revision},
		md5:           []string{e.MD5},
		modified:      []string{modified.Format(timeFormat)},
		lastModified:  []string{modified.Format(http.TimeFormat)},
		contentMD5:    []string{e.MD5},
		legacyETag:    []string{`"` + e.MD5 + `"`},
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
	meta.Content = "" // the table holds no contents
	x.line = sync.OnceValue(func() string { return lineOf(&meta, &size) })
	return x
}

func etagOf(revision, md5 string) string { return `"` + revision + "-" + md5 + `"` }

// set sets the headers of a native answer.
func (x *encoded) set(h http.Header) {
	h[hContentType] = valueBytes
	h[hNosniff] = valueNosniff
	h[hCacheControl] = valueNoStore
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

// setLegacy sets the headers of an answer to an original client.
func (x *encoded) setLegacy(h http.Header) {
	setText(h)
	h[hContentMD5] = x.contentMD5
	h[hLastModified] = x.lastModified
	h[hETag] = x.legacyETag
	h[hContentLength] = x.contentLength
}
