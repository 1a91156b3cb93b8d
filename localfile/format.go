package localfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// magic is the start of a snapshot file: its type and the version of the format. The first
// line continues with the SHA-256, in hexadecimal, of everything after that line.
const magic = "gdiamond-snapshot 1 "

// header is the second line of a snapshot file. The content follows it.
type header struct {
	Store    string            `json:"store"`
	Epoch    epoch             `json:"epoch"`
	Position conf.Position     `json:"position"` // includes Store and Epoch, which are repeated for people
	Key      string            `json:"key"`
	Slot     string            `json:"slot"`
	Deleted  bool              `json:"deleted,omitempty"` // if set, there is no content
	Revision int64             `json:"revision"`
	View     int64             `json:"view"`
	Type     string            `json:"type"`
	MD5      string            `json:"md5"`
	SHA256   string            `json:"sha256"`
	Size     int64             `json:"size"`
	Meta     map[string]string `json:"meta,omitempty"`
	Modified time.Time         `json:"modified"`
	Saved    time.Time         `json:"saved"`
}

type epoch struct {
	Generation int64  `json:"generation"`
	ID         string `json:"id"`
}

func epochOf(p conf.Position) epoch {
	return epoch{Generation: p.Epoch.Generation, ID: hex.EncodeToString(p.Epoch.ID[:])}
}

// encode returns the file of a snapshot.
func encode(slot conf.Slot, s conf.Snapshot) ([]byte, error) {
	e := &s.Entry
	if s.Deleted {
		e = tombstone(e)
	}
	line, err := json.Marshal(header{
		Store: s.Position.Store.String(), Epoch: epochOf(s.Position), Position: s.Position,
		Key: e.Key.String(), Slot: slotName(slot), Deleted: s.Deleted, Revision: e.Revision, View: e.View,
		Type: e.Type, MD5: conf.MD5Hex(e.Content), SHA256: sum(e.Content),
		Size: int64(len(e.Content)), Meta: e.Meta,
		Modified: e.Modified.UTC(), Saved: s.Saved.UTC(),
	})
	if err != nil {
		return nil, conf.Errorf(conf.ErrInvalid, "snapshot: %v", err) // a year of five digits
	}
	b := make([]byte, 0, len(magic)+2*sha256.Size+len(line)+2+len(e.Content))
	b = append(b, magic...)
	start := len(b) + 2*sha256.Size + 1
	b = b[:start]
	b[start-1] = '\n'
	b = append(b, line...)
	b = append(b, '\n')
	b = append(b, e.Content...)
	check := sha256.Sum256(b[start:])
	hex.Encode(b[len(magic):], check[:])
	return b, nil
}

// decode returns the snapshot in the file b and its slot. It accepts only the output of
// encode; the error says what is wrong with b.
func decode(b []byte) (conf.Slot, conf.Snapshot, error) {
	fail := func(format string, args ...any) (conf.Slot, conf.Snapshot, error) {
		return 0, conf.Snapshot{}, fmt.Errorf(format, args...)
	}
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok {
		return fail("it is not a snapshot of version 1")
	}
	check, rest, ok := bytes.Cut(rest, []byte{'\n'})
	if want := sha256.Sum256(rest); !ok || string(check) != hex.EncodeToString(want[:]) {
		return fail("its checksum is wrong")
	}
	line, content, ok := bytes.Cut(rest, []byte{'\n'})
	if !ok {
		return fail("it has no header")
	}
	var h header
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return fail("its header: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fail("its header: more than one value")
	}
	return h.snapshot(string(content))
}

// snapshot checks that the header belongs to content and is consistent.
func (h *header) snapshot(content string) (conf.Slot, conf.Snapshot, error) {
	key, err := conf.ParseKey(h.Key)
	if err == nil && key.String() != h.Key {
		err = fmt.Errorf("key %s is not written in full", key)
	}
	slot := conf.SlotFetched
	if h.Slot == slotName(conf.SlotLastGood) {
		slot = conf.SlotLastGood
	}
	switch {
	case err != nil:
	case h.Slot != slotName(slot):
		err = fmt.Errorf("unknown slot")
	case h.Revision < 0 || h.View < 0:
		err = fmt.Errorf("a negative revision")
	case h.Store != h.Position.Store.String() || h.Epoch != epochOf(h.Position):
		err = fmt.Errorf("store, epoch and position contradict each other")
	case h.Size != int64(len(content)) || h.SHA256 != sum(content) || h.MD5 != conf.MD5Hex(content):
		err = fmt.Errorf("it belongs to another content")
	case h.Deleted && h.Size != 0:
		err = fmt.Errorf("it is a deletion but has a content")
	}
	if err != nil {
		return 0, conf.Snapshot{}, fmt.Errorf("its header: %w", err)
	}
	e := &conf.Entry{
		Key: key, Content: content, Type: h.Type, MD5: h.MD5, Size: h.Size,
		Revision: h.Revision, View: h.View, Modified: h.Modified, Meta: h.Meta,
	}
	if h.Deleted {
		e = tombstone(e)
	}
	return slot, conf.Snapshot{Entry: *e, Position: h.Position, Deleted: h.Deleted, Saved: h.Saved}, nil
}

// tombstone returns the fields of e that a deletion has.
func tombstone(e *conf.Entry) *conf.Entry {
	return &conf.Entry{Key: e.Key, Revision: e.Revision, View: e.View}
}

// sum returns the SHA-256 of content in hexadecimal.
func sum(content string) string {
	h := sha256.Sum256([]byte(content))
	return hex.EncodeToString(h[:])
}
