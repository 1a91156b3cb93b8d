package httptransport

import (
	"encoding/hex"
	"math"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// entryLine is an entry, or the state of a key in the answer to a poll.
type entryLine struct {
	Key      string            `json:"key"`
	Revision int64             `json:"revision"`       // 0 if the key does not exist
	View     int64             `json:"view,omitempty"` // left out if it equals the revision
	MD5      string            `json:"md5,omitempty"`
	Type     string            `json:"type,omitempty"`
	Size     int64             `json:"size,omitempty"`
	Modified time.Time         `json:"modified,omitzero"`
	Meta     map[string]string `json:"meta,omitempty"`
	Length   *int64            `json:"length,omitempty"`
}

func (l *entryLine) contentLength() *int64 { return l.Length }

// lineOf returns the line of e, with the length of the content that follows, or nil if
// none follows.
func lineOf(e *conf.Entry, length *int64) string {
	l := entryLine{
		Key: e.Key.String(), Revision: e.Revision, MD5: e.MD5, Type: e.Type, Size: e.Size,
		Modified: e.Modified.UTC(), Meta: e.Meta, Length: length,
	}
	if e.View != e.Revision {
		l.View = e.View
	}
	return marshalLine(&l)
}

// state returns the state in a poll's answer that l and the content after it encode.
func (l *entryLine) state(content string) (s conf.KeyState, err error) {
	e, err := l.entry(content)
	if err != nil {
		return s, err
	}
	s = conf.KeyState{Key: e.Key, Revision: e.Revision, View: e.View, MD5: e.MD5}
	if l.Length != nil && l.Revision > 0 {
		s.Entry = &e
	}
	return s, nil
}

// entry returns the entry of l. It checks a content against its digest.
func (l *entryLine) entry(content string) (e conf.Entry, err error) {
	key, err := wireKey(l.Key)
	if err != nil {
		return e, err
	}
	if l.Revision < 0 || l.View < 0 || l.Size < 0 {
		return e, errFrame("a number is negative")
	}
	e = conf.Entry{
		Key: key, Content: content, Type: l.Type, MD5: l.MD5, Size: l.Size,
		Revision: l.Revision, View: l.View, Modified: l.Modified, Meta: l.Meta,
	}
	if e.View == 0 {
		e.View = e.Revision
	}
	if l.Length != nil {
		return e, checkContent(&e)
	}
	return e, nil
}

// checkContent compares a content with the digest and size that came with it.
func checkContent(e *conf.Entry) error {
	if int64(len(e.Content)) != e.Size || conf.MD5Hex(e.Content) != e.MD5 {
		return conf.Errorf(conf.ErrInvalid, "content of %s does not have its digest", e.Key)
	}
	return nil
}

// pollLine is a frame of a poll's answer: the state of a key, or a key that the caller
// may not read. The latter has no "key": clients that do not know it must not take it
// for the state of a key that does not exist.
type pollLine struct {
	entryLine
	Denied string `json:"denied,omitempty"` // the key
	Detail string `json:"detail,omitempty"` // the reason
}

// addTo adds l and the content after it to res.
func (l *pollLine) addTo(res *conf.PollResponse, content string) error {
	if l.Denied == "" {
		state, err := l.state(content)
		res.Changed = append(res.Changed, state)
		return err
	}
	key, err := wireKey(l.Denied)
	if err == nil && (l.Key != "" || l.Length != nil) {
		err = errFrame("a key is denied, and has a state")
	}
	res.Denied = append(res.Denied, conf.Denial{Key: key, Detail: httpserve.Clip(l.Detail)})
	return err
}

// deniedLine is a pollLine for a key that the caller may not read.
type deniedLine struct {
	Denied string `json:"denied"`
	Detail string `json:"detail,omitempty"`
}

// wireKey parses a key in the form of answers, with all three parts.
func wireKey(s string) (conf.Key, error) {
	if strings.Count(s, "/") != 2 {
		return conf.Key{}, conf.Errorf(conf.ErrInvalid, "key: has not three parts")
	}
	return conf.ParseKey(s)
}

// changeLine is one change of the log.
type changeLine struct {
	Revision int64             `json:"revision"`
	Number   int               `json:"number"`
	Count    int               `json:"count"`
	Op       string            `json:"op"`
	Key      string            `json:"key,omitempty"`
	Type     string            `json:"type,omitempty"`
	MD5      string            `json:"md5,omitempty"`
	SHA256   string            `json:"sha256,omitempty"`
	Size     int64             `json:"size,omitempty"`
	Meta     map[string]string `json:"meta,omitempty"`
	Author   string            `json:"author,omitempty"`
	Address  string            `json:"address,omitempty"`
	Comment  string            `json:"comment,omitempty"`
	Origin   string            `json:"origin,omitempty"`
	Time     time.Time         `json:"time,omitzero"`
	Epoch    *epochLine        `json:"epoch,omitempty"`
	Length   *int64            `json:"length,omitempty"`
}

type epochLine struct {
	Generation int64  `json:"generation"`
	ID         string `json:"id"`
}

func (l *changeLine) contentLength() *int64 { return l.Length }

// lineOfChange returns the line of c, with a length if its content follows.
func lineOfChange(c *conf.Change, content bool) string {
	l := changeLine{
		Revision: c.Revision, Number: c.Number, Count: c.Count, Op: c.Op.String(),
		Type: c.Type, MD5: c.MD5, Size: c.Size, Meta: c.Meta,
		Author: c.Author.Name, Address: c.Address, Comment: c.Comment, Origin: c.Origin, Time: c.Time.UTC(),
	}
	if c.Op == conf.OpFork {
		l.Epoch = &epochLine{c.Epoch.Generation, hex.EncodeToString(c.Epoch.ID[:])}
	} else {
		l.Key = c.Key.String()
	}
	if c.Op == conf.OpPublish {
		l.SHA256 = hex.EncodeToString(c.SHA256[:])
		if content {
			n := int64(len(c.Content))
			l.Length = &n
		}
	}
	return marshalLine(&l)
}

func (l *changeLine) change(content string) (c conf.Change, err error) {
	c = conf.Change{
		Revision: l.Revision, Number: l.Number, Count: l.Count,
		Type: l.Type, MD5: l.MD5, Size: l.Size, Meta: l.Meta,
		Author: conf.Principal{Name: l.Author}, Address: l.Address, Comment: l.Comment, Origin: l.Origin,
		Time: l.Time, Content: content,
	}
	if l.Revision < 1 || l.Number < 0 || l.Count <= l.Number || l.Count > math.MaxInt32 || l.Size < 0 {
		return c, errFrame("numbers of a change are out of range")
	}
	switch l.Op {
	case "publish":
		c.Op = conf.OpPublish
		if err := hexInto(c.SHA256[:], l.SHA256); err != nil {
			return c, err
		}
	case "delete":
		c.Op = conf.OpDelete
	case "fork":
		c.Op = conf.OpFork
		if l.Epoch == nil {
			return c, errFrame("fork has no epoch")
		}
		c.Epoch.Generation = l.Epoch.Generation
		return c, hexInto(c.Epoch.ID[:], l.Epoch.ID)
	default:
		return c, errFrame("op is none that is known")
	}
	if c.Key, err = wireKey(l.Key); err != nil {
		return c, err
	}
	if l.Length != nil {
		e := c.Entry()
		return c, checkContent(&e)
	}
	return c, nil
}

// hexInto decodes s, which must fill dst.
func hexInto(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return errFrame("a hash has not %d digits", 2*len(dst))
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return errFrame("a hash is not hexadecimal")
	}
	return nil
}

// setLine is one line of a change set.
type setLine struct {
	Op         string            `json:"op"` // publish, delete or check
	Key        string            `json:"key"`
	Type       string            `json:"type,omitempty"`
	Meta       map[string]string `json:"meta,omitempty"`
	Reset      bool              `json:"reset,omitempty"`
	AllowEmpty bool              `json:"allowEmpty,omitempty"`
	IfRevision *int64            `json:"ifRevision,omitempty"` // of publish and delete
	Revision   *int64            `json:"revision,omitempty"`   // of check
	Length     *int64            `json:"length,omitempty"`     // of publish
}

func (l *setLine) contentLength() *int64 { return l.Length }

// addTo adds the change or check of l, and the content after it, to set.
func (l *setLine) addTo(set *conf.ChangeSet, content string) error {
	key, err := conf.ParseKey(l.Key)
	if err != nil {
		return err
	}
	switch {
	case len(l.Meta) > httpserve.MaxParams: // in memory they take many times their size
		return errFrame("meta has more than %d pairs", httpserve.MaxParams)
	case l.Op == "publish" && l.Length == nil:
		return errFrame("publish has no length")
	case l.Op == "publish" && l.Revision == nil:
		set.Drafts = append(set.Drafts, conf.Draft{
			Key: key, Content: content, Type: l.Type, Meta: l.Meta, Reset: l.Reset,
			IfRevision: l.IfRevision, AllowEmpty: l.AllowEmpty,
		})
	case l.Length != nil || l.Type != "" || l.Meta != nil || l.Reset || l.AllowEmpty:
		return errFrame("op %.20q has a field of publish", l.Op)
	case l.Op == "delete" && l.Revision == nil:
		set.Deletes = append(set.Deletes, conf.Delete{Key: key, IfRevision: l.IfRevision})
	case l.Op == "check" && l.IfRevision == nil && l.Revision != nil:
		set.Checks = append(set.Checks, conf.Check{Key: key, Revision: *l.Revision})
	default:
		return errFrame("op is publish or delete with ifRevision, or check with revision")
	}
	return nil
}

// pollBody is the request of a poll.
type pollBody struct {
	Set      string     `json:"set,omitempty"` // hexadecimal; may be left out with keys
	Keys     []string   `json:"keys,omitempty"`
	Position string     `json:"position,omitempty"`
	Held     []heldBody `json:"held,omitempty"`
	Wait     string     `json:"wait,omitempty"`
}

type heldBody struct {
	Key      string `json:"key"`
	Revision int64  `json:"revision"`
	MD5      string `json:"md5,omitempty"`
}

// reportsBody carries reports.
type reportsBody struct {
	Reports []reportBody `json:"reports"`
}

type reportBody struct {
	Key      string `json:"key"`
	Revision int64  `json:"revision"`
	Applied  bool   `json:"applied"`
	Reason   string `json:"reason,omitempty"`
}

// committedBody is the answer to a write, for people; clients read the headers.
type committedBody struct {
	Revision int64  `json:"revision"`
	Position string `json:"position"`
	Replayed bool   `json:"replayed"`
}

// positionBody is the answer of /v1/position.
type positionBody struct {
	Store      string `json:"store"`
	Generation int64  `json:"generation"`
	Revision   int64  `json:"revision"`
	Position   string `json:"position"`
	Ready      bool   `json:"ready"`
	Stale      string `json:"stale,omitempty"`
}

// parseWait reads a duration such as "30s" or "1500ms".
func parseWait(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, conf.Errorf(conf.ErrInvalid, `wait: not a duration such as "30s"`)
	}
	return d, nil
}
