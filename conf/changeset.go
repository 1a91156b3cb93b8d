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
	// DefaultMaxContent is the default limit of one content in bytes.
	DefaultMaxContent = 10 << 20
	// MaxChanges is the maximum number of keys that one set writes, and of its Checks. A
	// storage takes twice as many Checks, because rights on the server add some.
	MaxChanges = 1000
	// MaxSetBytes is the maximum number of bytes of all contents of one set. If the
	// server's limit of one content is larger, that limit applies.
	MaxSetBytes = 32 << 20

	maxComment   = 1024
	maxRequestID = 128
	maxType      = 32
	maxOrigin    = 32
	maxMeta      = 16  // pairs
	maxMetaKey   = 64  // bytes
	maxMetaValue = 512 // bytes
)

// Draft asks for a value of a key. If the key has an entry, a Type or Meta that the Draft
// leaves empty stays as it is, because an edit has the content and seldom everything that
// was published with it.
type Draft struct {
	Key     Key
	Content string
	// Type is as in [Entry]. If it is empty, the key keeps the type of its entry, or gets
	// the result of [TypeOf] for its data id if it has no entry.
	Type string
	// Meta replaces all metadata of the key. If it is empty, the key keeps its metadata.
	// It has at most 16 pairs. The keys have at most 64 bytes and follow the grammar of
	// keys; the values have at most 512 bytes and no control characters.
	Meta map[string]string
	// Reset makes Type and Meta count as given, even if they are empty. The key then keeps
	// neither its type nor its metadata.
	Reset bool
	// IfRevision, if not nil, is the revision that the key must have now, or 0 if the key
	// must not exist.
	IfRevision *int64
	// AllowEmpty permits a Content that is empty or only white space, or that says nothing
	// in its format (only comments, or a null). It is otherwise refused, because it is
	// nearly always a mistake. To remove a value, use [Delete].
	AllowEmpty bool
}

// Delete asks for the removal of a key. Deleting a key that does not exist
// fails with [ErrNotFound].
type Delete struct {
	Key Key
	// IfRevision, if not nil, is the revision that the key must have now. It is at least 1.
	IfRevision *int64
}

// Check is a condition on a key that the set does not write.
type Check struct {
	Key      Key
	Revision int64 // that the key must have now, or 0 if it must not exist
}

// ChangeSet is a set of changes that are committed together, as one revision, or not at
// all. A key may appear only once in Drafts, Deletes and Checks together.
type ChangeSet struct {
	Drafts  []Draft
	Deletes []Delete
	Checks  []Check
	// RequestID makes a retry safe. If the same principal sends the set again under the
	// same id within 24 hours, it gets the first outcome and nothing changes, whatever
	// retention has removed. Another set under that id fails with ErrInvalid. An id has at
	// most 128 bytes and follows the grammar of keys. If it is empty there is none, but
	// clients make one.
	RequestID string
	Comment   string // the reason for the change; at most 1024 bytes of UTF-8 without control characters
	// Origin is the kind of program that asks, such as "cli" or "console", for the history.
	// It has at most 32 bytes and follows the grammar of keys. It may be empty. A server
	// without rights drops it, because programs of before cannot read a store that has one.
	Origin string
	// Force asks a server with rights to let the set pass a guard, which needs the right to
	// do so and a Comment. Other servers ignore it.
	Force bool

	// Asked is the hash of what the caller asked for, if the set has been changed since,
	// such as by Checks that rights add. It is zero if it has not. It never crosses a
	// transport, and a server ignores that of its callers; see [ChangeSet.RequestHash].
	Asked [32]byte

	// Generation is the generation of the epoch as of which a server has decided that the set
	// may be committed, or 0 for any. In another epoch the set fails with ErrEpoch. It never
	// crosses a network, and is not a part of Hash.
	Generation int64

	// Caller is the sender of the set. A server overwrites it with the caller that the
	// transport proved.
	Caller Caller
}

// Result is the outcome of one change set.
type Result struct {
	// Position is the position after the set, whose Revision is that of the set. It is
	// zero if Err is set.
	Position Position
	// Replayed says that RequestID was known and that Position is the first outcome.
	Replayed bool
	// Err is the reason that the set was not committed, or nil if it was. It wraps
	// ErrConflict, ErrNotFound (a Delete of a key that has no entry) or ErrInvalid
	// (RequestID was used for another set, or Content says nothing in the type that its
	// key keeps).
	Err error
	// Changes are the committed changes, exactly as the method Changes of the storage
	// returns them. A storage may leave them out. The server then reads them.
	Changes []Change
}

// Revision returns a pointer to n, for conditions such as IfRevision of a [Draft].
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

// Validate reports everything that is wrong with the canonical s, given the limit of one
// content in bytes. Errors wrap [ErrInvalid], or [ErrTooLarge] if only sizes are wrong. A
// server validates every set before it passes the set to its storage.
func (s *ChangeSet) Validate(maxContent int64) error {
	return s.ValidateWithin(maxContent, MaxChanges)
}

// ValidateWithin is Validate with another limit than [MaxChanges] of the number of Checks.
func (s *ChangeSet) ValidateWithin(maxContent int64, maxChecks int) error {
	if err := s.validateCounts(maxChecks); err != nil {
		return err // do not look into a set of any length
	}
	if err := s.validateParts(); err != nil {
		return err
	}
	return s.validateSizes(maxContent)
}

func (s *ChangeSet) validateCounts(maxChecks int) error {
	var p problems
	if s.Len() == 0 {
		p.add("change set: has no changes")
	}
	if s.Len() > MaxChanges {
		p.add("change set: %d changes, more than %d", s.Len(), MaxChanges)
	}
	if len(s.Checks) > maxChecks {
		p.add("checks: %d, more than %d", len(s.Checks), maxChecks)
	}
	return p.err()
}

// validateParts reports everything that is wrong except the sizes of contents.
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
	if s.Origin != "" {
		p.addPart("origin", s.Origin, maxOrigin)
	}
	if len(s.Comment) > maxComment {
		p.add("comment: %d bytes, more than %d", len(s.Comment), maxComment)
	} else if !isPlain(s.Comment) {
		p.add("comment: holds control characters or is not UTF-8")
	}
	return p.err()
}

// validateSizes reports each content that is too large. If none is, it reports contents
// that are too large together.
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

// RequestHash returns the hash to which a storage binds the RequestID of s, to tell a retry
// from another set: Asked, or Hash if Asked is zero.
func (s *ChangeSet) RequestHash() [32]byte {
	if s.Asked != ([32]byte{}) {
		return s.Asked
	}
	return s.Hash()
}

// Hash returns a SHA-256 over everything that s asks for, without RequestID, Caller and
// Asked. An empty Type counts as that of the data id. Request ids outlive an upgrade, so later versions of this
// function must return the same hash for a set.
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
			pairs = ^pairs // negative, so that no set without Reset has the same hash
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
	if s.Origin != "" { // a set without both hashes as it did before there were these fields
		str("origin")
		str(s.Origin)
	}
	if s.Force {
		str("force")
	}
	return sha256.Sum256(b)
}

// Settles reports whether err, with which a server refused s, also decides an earlier
// attempt to commit s, whose outcome is unknown. Another, slow server may still have that
// attempt in hand and commit it later. A condition on a revision that the key no longer
// has will never hold again, so a conflict over it settles the outcome. A key that must
// not exist may be gone later, and a key that did not exist to be deleted may exist by
// then. Such errors settle nothing.
func (s *ChangeSet) Settles(err error) bool {
	var e *Error
	if !errors.Is(err, ErrConflict) || !errors.As(err, &e) {
		return false
	}
	// The condition that did not hold is that of the error's key. If the error names no
	// key, it may be any condition.
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

// RefuseSystem returns an error that wraps [ErrDenied] if s has a key in a namespace of
// the system; see [Key.System].
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
