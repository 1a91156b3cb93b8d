package conf

import (
	"crypto/md5"
	"encoding/hex"
	"path"
	"strings"
	"time"

	"github.com/linnaname/gdiamond/internal/rawbytes"
)

// Entry is one published value of a key.
type Entry struct {
	Key     Key
	Content string // any bytes, exactly as published
	// Type is the format of Content: "json", "yaml", "toml", "properties", "xml", "text",
	// or any name of at most 32 bytes that follows the grammar of keys. It is empty if the
	// format is not known; see [TypeOf].
	Type string
	MD5  string // of Content, 32 lower-case hexadecimal digits
	Size int64  // of Content in bytes, even if Content is left out

	// Revision is the revision of the change set that published the entry. The whole store
	// has one counter of revisions.
	Revision int64
	// View is the highest revision among all changes that chose this value for this
	// caller. It equals Revision as long as a key does not have several variants. Clients
	// order the answers of servers by View.
	View     int64
	Modified time.Time         // by the storage's clock; nothing depends on it
	Meta     map[string]string // never changed once published; nil if empty
}

// MD5Hex returns the MD5 of content as 32 lower-case hexadecimal digits. Requests and
// answers compare contents by it, as those of the original diamond do. It proves nothing:
// the integrity of contents rests on [Chain].
func MD5Hex(content string) string {
	sum := md5.Sum(rawbytes.Of(content))
	return hex.EncodeToString(sum[:])
}

// TypeOf returns the type that the extension of dataID stands for, or "" if this library
// does not know the extension.
func TypeOf(dataID string) string {
	switch strings.ToLower(path.Ext(dataID)) {
	case ".json":
		return "json"
	case ".yaml", ".yml":
		return "yaml"
	case ".toml":
		return "toml"
	case ".properties":
		return "properties"
	case ".xml":
		return "xml"
	case ".txt", ".conf":
		return "text"
	}
	return ""
}

// Op says what a [Change] did.
type Op uint8

// The operations. Their numbers are part of the chain, so they must not change.
const (
	OpPublish Op = 1 // a value for a key
	OpDelete  Op = 2 // a tombstone
	OpFork    Op = 3 // the marker that begins a new epoch; it has no key
)

// String returns "publish", "delete" or "fork".
func (op Op) String() string {
	switch op {
	case OpPublish:
		return "publish"
	case OpDelete:
		return "delete"
	case OpFork:
		return "fork"
	}
	return "unknown"
}

// Change is one committed change. The changes of a set share a Revision, and no answer and
// no batch has only some of them.
type Change struct {
	Revision int64
	Number   int // of the change in its set, from 0
	Count    int // of the changes in its set
	Key      Key
	Op       Op
	Type     string
	MD5      string            // of the content; "" for a deletion
	SHA256   [32]byte          // of the content; zero for a deletion
	Size     int64             // of the content, in bytes
	Meta     map[string]string // nil if empty
	Author   Principal
	Address  string // of the author; "" in process
	Comment  string
	Origin   string    // the kind of program that asked, or ""; see [ChangeSet]
	Time     time.Time // by the storage's clock, UTC, whole microseconds; nothing depends on it
	Epoch    Epoch     // the epoch that an OpFork begins; zero for other operations

	// Content is empty if the answer is without contents, as a history is.
	Content string
}

// Entry returns the value that an OpPublish change published.
func (c *Change) Entry() Entry {
	return Entry{
		Key: c.Key, Content: c.Content, Type: c.Type, MD5: c.MD5, Size: c.Size,
		Revision: c.Revision, View: c.Revision, Modified: c.Time, Meta: c.Meta,
	}
}
