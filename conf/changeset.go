package conf

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/internal/document"
	"github.com/linnaname/gdiamond/internal/rawbytes"
)

// Limits of a [ChangeSet]. A server sets the limit of one content; see the
// option WithMaxContent of package diamond.
const (
	// DefaultMaxContent is how many bytes one content may have unless the server is told otherwise.
	DefaultMaxContent = 10 << 20
	// MaxChanges is how many keys one set may write, and how many Checks it may have.
	MaxChanges = 1000
	// MaxSetBytes is how many bytes of content one set may hold together, or
	// one content of the server's limit where that is more.
	MaxSetBytes = 32 << 20

	maxComment   = 1024
	maxRequestID = 128
	maxType      = 32
	maxMeta      = 16  // pairs
	maxMetaKey   = 64  // bytes
	maxMetaValue = 512 // bytes
)

// Draft asks for a value of a key. What it does not say of a key that has an
// entry stays: an edit carries the content, and seldom all that was published
// with it.
type Draft struct {
	Key     Key
	Content string
	// Type, see [Entry]; "" keeps the type that the key has. A key that has no
	// entry then gets what [TypeOf] makes of the data id.
	Type string
	// Meta replaces the metadata of the key as a whole; empty keeps it. At most 16
	// pairs; keys of 64 bytes of the key grammar, values of 512 bytes without
	// control characters.
	Meta map[string]string
	// Reset forgets the type and the metadata that the key has: Type and Meta
	// count as given, also where they are empty.
	Reset bool
	// IfRevision, when set, is the revision that the key must have now; 0: it must not exist.
	IfRevision *int64
	// AllowEmpty permits a Content that is empty or only white space, or that
	// says nothing in its format (only comments, or a null), which is
	// otherwise refused: it is nearly always a mistake, and a deletion is another verb.
	AllowEmpty bool
}

// Delete asks for the removal of a key. Deleting a key that does not exist
// fails with [ErrNotFound].
type Delete struct {
	Key Key
	// IfRevision, when set, is the revision that the key must have now; at least 1.
	IfRevision *int64
}

// Check is a condition on a key that the set does not write.
type Check struct {
	Key      Key
	Revision int64 // 0: the key must not exist
}

// ChangeSet commits together, as one revision, or not at all. A key may
// appear once in it, be it in Drafts, Deletes or Checks.
type ChangeSet struct {
	Drafts  []Draft
	Deletes []Delete
	Checks  []Check
	// RequestID makes a retry safe: within 24 hours, whatever retention does, a
	// set sent again under the same id by the same principal gets the first
	// outcome and changes nothing. Another set under that id is ErrInvalid. Up
	// to 128 bytes of the key grammar; "" leaves it out (clients make one).
	RequestID string
	Comment   string // why; up to 1024 bytes of UTF-8 without control characters

	// Caller is who asks. A server overwrites it with what the transport proved.
	Caller Caller
}

// Result is the outcome of one change set.
type Result struct {
	// Position after the set: Position.Revision is the set's revision. Zero when Err is set.
	Position Position
	// Replayed is true when RequestID was known and Position is the first outcome's.
	Replayed bool
	// Err is why the set was not committed: it wraps ErrConflict, ErrNotFound
	// (a Delete of nothing) or ErrInvalid (RequestID used for another set, or a
	// Content that says nothing in the type that its key keeps).
	Err error
	// Changes are those that were committed, just as Storage.Changes returns them.
	// A storage may leave them out: then they are read from there.
	Changes []Change
}

// Revision is shorthand for a condition: IfRevision: diamond.Revision(7).
func Revision(n int64) *int64 { return &n }

// Len returns the number of changes that the set asks for.
func (s *ChangeSet) Len() int { return len(s.Drafts) + len(s.Deletes) }

// Canonical returns a copy of s with the defaults of its keys filled in.
func (s *ChangeSet) Canonical() *ChangeSet {
	c := *s
	c.Drafts = slices.Clone(s.Drafts)
	for i := range c.Drafts {
		c.Drafts[i].Key = c.Drafts[i].Key.Canonical()
	}
	c.Deletes = slices.Clone(s.Deletes)
	for i := range c.Deletes {
		c.Deletes[i].Key = c.Deletes[i].Key.Canonical()
	}
	c.Checks = slices.Clone(s.Checks)
	for i := range c.Checks {
		c.Checks[i].Key = c.Checks[i].Key.Canonical()
	}
	return &c
}

// Validate reports all that is wrong with the canonical s, given the limit of
// one content in bytes. Errors wrap [ErrInvalid], or [ErrTooLarge] where only
// a size is wrong. It is the one door: storages are only given valid sets.
func (s *ChangeSet) Validate(maxContent int64) error {
	if err := s.validateCounts(); err != nil {
		return err // do not look into a set of any length
	}
	if err := s.validateParts(); err != nil {
		return err
	}
	return s.validateSizes(maxContent)
}

func (s *ChangeSet) validateCounts() error {
	var p problems
	if s.Len() == 0 {
		p.add("change set: has no changes")
	}
	if s.Len() > MaxChanges {
		p.add("change set: %d changes, more than %d", s.Len(), MaxChanges)
	}
	if len(s.Checks) > MaxChanges {
		p.add("checks: %d, more than %d", len(s.Checks), MaxChanges)
	}
	return p.err()
}

// validateParts reports all that is wrong but sizes of contents.
func (s *ChangeSet) validateParts() error {
	var p problems
	seen := make(map[Key]bool, s.Len()+len(s.Checks))
	key := func(k Key) {
		if err := k.Validate(); err != nil {
			p.add("%s", err.(*Error).Detail)
		} else if seen[k] {
			p.add("key %s: appears more than once", k)
		}
		seen[k] = true
	}
	for i := range s.Drafts {
		key(s.Drafts[i].Key)
		content := "content"
		if len(s.Drafts) > 1 { // else the error names the key
			content = "content of " + Clip(s.Drafts[i].Key.String())
		}
		s.Drafts[i].validate(&p, content)
	}
	for i := range s.Deletes {
		key(s.Deletes[i].Key)
		if r := s.Deletes[i].IfRevision; r != nil && *r < 1 {
			p.add("ifRevision of a delete: %d, less than 1", *r)
		}
	}
	for i := range s.Checks {
		key(s.Checks[i].Key)
		if s.Checks[i].Revision < 0 {
			p.add("revision of a check: negative")
		}
	}
	if s.RequestID != "" {
		p.addPart("requestId", s.RequestID, maxRequestID)
	}
	if len(s.Comment) > maxComment {
		p.add("comment: %d bytes, more than %d", len(s.Comment), maxComment)
	} else if !isPlain(s.Comment) {
		p.add("comment: holds control characters or is not UTF-8")
	}
	return p.err()
}

// validateSizes reports contents that are too large, each or, where none is, together.
func (s *ChangeSet) validateSizes(maxContent int64) error {
	var total int64
	var large []string
	for i := range s.Drafts {
		d := &s.Drafts[i]
		total += int64(len(d.Content))
		if int64(len(d.Content)) > maxContent {
			large = append(large, fmt.Sprintf("content of %s: %d bytes, more than %d", Clip(d.Key.String()), len(d.Content), maxContent))
		}
	}
	if limit := max(MaxSetBytes, maxContent); len(large) == 0 && total > limit {
		large = append(large, fmt.Sprintf("contents together: %d bytes, more than %d", total, limit))
	}
	if len(large) > 0 {
		return Errorf(ErrTooLarge, "%s", strings.Join(large, "; "))
	}
	return nil
}

// validate reports what is wrong with d; what says whose content it is.
func (d *Draft) validate(p *problems, what string) {
	if d.Type != "" {
		p.addPart("type", d.Type, maxType)
	}
	if !d.AllowEmpty && document.Blank(cmp.Or(d.Type, TypeOf(d.Key.DataID)), d.Content) {
		p.add("%s: is empty or blank, or says nothing in its format; allowEmpty, or --allow-empty, publishes it all the same; or delete the key", what)
	}
	if d.IfRevision != nil && *d.IfRevision < 0 {
		p.add("ifRevision: negative")
	}
	if len(d.Meta) > maxMeta {
		p.add("meta: %d pairs, more than %d", len(d.Meta), maxMeta)
		return
	}
	for k, v := range d.Meta {
		p.addPart("meta key", k, maxMetaKey)
		if len(v) > maxMetaValue {
			p.add("meta value: %d bytes, more than %d", len(v), maxMetaValue)
		} else if !isPlain(v) {
			p.add("meta value: holds control characters or is not UTF-8")
		}
	}
}

// Hash returns a SHA-256 over all that s asks for, without RequestID and
// Caller: what a request id is bound to. A Type that is not said counts as the
// one of the data id. Ids outlive an upgrade, so the hash of a set never changes.
func (s *ChangeSet) Hash() [32]byte {
	b := make([]byte, 0, 512) // on the stack: enough for a set of one change
	str := func(v string) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(v)))
		b = append(b, v...)
	}
	key := func(k Key) { str(k.Namespace); str(k.Group); str(k.DataID) }
	num := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	cond := func(r *int64) {
		if r == nil {
			num(-1)
		} else {
			num(*r)
		}
	}
	num(int64(len(s.Drafts)))
	for i := range s.Drafts {
		d := &s.Drafts[i]
		key(d.Key)
		sum := sha256.Sum256(rawbytes.Of(d.Content))
		b = append(b, sum[:]...)
		typ, pairs := d.Type, int64(len(d.Meta))
		if d.Reset {
			pairs = ^pairs // below 0
		} else if typ == "" {
			typ = TypeOf(d.Key.DataID)
		}
		str(typ)
		cond(d.IfRevision)
		num(pairs)
		for _, k := range slices.Sorted(maps.Keys(d.Meta)) {
			str(k)
			str(d.Meta[k])
		}
	}
	num(int64(len(s.Deletes)))
	for i := range s.Deletes {
		key(s.Deletes[i].Key)
		cond(s.Deletes[i].IfRevision)
	}
	num(int64(len(s.Checks)))
	for i := range s.Checks {
		key(s.Checks[i].Key)
		num(s.Checks[i].Revision)
	}
	str(s.Comment)
	return sha256.Sum256(b)
}

// Settles reports whether err, with which a server refused s, holds for an
// earlier try of s too, whose outcome is unknown: that one may be on its way
// still, at another server that is slow, and be taken up later. A condition on a
// revision that a key has no longer will never hold again, so a conflict over
// it settles the outcome. That a key must not exist may hold later, and a key
// that was not there to be deleted may be by then: these settle nothing.
func (s *ChangeSet) Settles(err error) bool {
	var e *Error
	if !errors.Is(err, ErrConflict) || !errors.As(err, &e) {
		return false
	}
	// The condition that did not hold is that of the error's key; where it names
	// none, it may be any.
	settles := true
	condition := func(k Key, revision *int64) {
		if revision != nil && *revision == 0 && (e.Key == (Key{}) || e.Key.Canonical() == k.Canonical()) {
			settles = false
		}
	}
	for i := range s.Checks {
		condition(s.Checks[i].Key, &s.Checks[i].Revision)
	}
	for i := range s.Drafts {
		condition(s.Drafts[i].Key, s.Drafts[i].IfRevision)
	}
	return settles
}

// RefuseSystem refuses keys that no public door serves.
func (s *ChangeSet) RefuseSystem() error {
	for i := range s.Drafts {
		if k := s.Drafts[i].Key; k.System() {
			return systemError(k.Namespace)
		}
	}
	for i := range s.Deletes {
		if k := s.Deletes[i].Key; k.System() {
			return systemError(k.Namespace)
		}
	}
	for i := range s.Checks {
		if k := s.Checks[i].Key; k.System() {
			return systemError(k.Namespace)
		}
	}
	return nil
}

// OnlyKey returns the canonical key that s writes, or the zero Key if s does not
// write exactly one.
func (s *ChangeSet) OnlyKey() Key {
	switch {
	case len(s.Drafts) == 1 && len(s.Deletes) == 0:
		return s.Drafts[0].Key.Canonical()
	case len(s.Deletes) == 1 && len(s.Drafts) == 0:
		return s.Deletes[0].Key.Canonical()
	}
	return Key{}
}
