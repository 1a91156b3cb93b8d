package diamond

import (
	"cmp"
	"maps"
	"sync/atomic"
	"time"
)

// presence is what a server said of a key's existence.
type presence uint8

const (
	present  presence = iota
	absent            // it does not exist, and never has as far as is known
	deleted           // it was there, and is not any more
	orphaned          // it was there in an earlier epoch: the value is kept
)

// knownState is a key's state as of a position.
type knownState struct {
	entry     Entry // present, orphaned: the value
	presence  presence
	at        Position  // of the answer
	source    Source    // SourceServer or SourceSnapshot
	confirmed time.Time // when a server last said so; zero: never
}

// valueID tells what is written to snapshots apart.
type valueID struct {
	revision int64
	md5      string
	deleted  bool
}

// visible is what a client shows of a key. It never changes.
type visible struct {
	config Config
	err    error // why there is no value; nil: there is one
	// followed: each answer to a poll confirms it, so that it is as fresh as the last of them.
	followed bool
}

// equals reports whether s and o are the same to a listener. Neither the
// revision counts nor where the value came from: a value that is published
// again has changed nothing for a program.
func (s *visible) equals(o *visible) bool {
	if s.err != nil || o.err != nil {
		return s.err != nil && o.err != nil
	}
	return (s.config.Refused == nil) == (o.config.Refused == nil) && equalEntries(&s.config.Entry, &o.config.Entry)
}

// equalEntries reports whether content, type and metadata are the same.
func equalEntries(a, b *Entry) bool {
	return a.MD5 == b.MD5 && a.Content == b.Content && a.Type == b.Type && maps.Equal(a.Meta, b.Meta)
}

// fixed returns s as it is now: no later answer confirms it.
func (s *visible) fixed(confirmedAsOf *atomic.Pointer[time.Time]) *visible {
	if s == nil || !s.followed {
		return s
	}
	config, err := s.read(confirmedAsOf)
	return &visible{config: config, err: err}
}

// confirmed returns when a server last said that s is so, where confirmedAsOf is when
// the last poll was answered.
func (s *visible) confirmed(confirmedAsOf *atomic.Pointer[time.Time]) time.Time {
	if s.followed {
		if t := confirmedAsOf.Load(); t != nil && t.After(s.config.Confirmed) {
			return *t
		}
	}
	return s.config.Confirmed
}

// read returns what s says, as of now.
func (s *visible) read(confirmedAsOf *atomic.Pointer[time.Time]) (Config, error) {
	config := s.config
	config.Confirmed = s.confirmed(confirmedAsOf)
	return config, s.err
}

// update is what one answer of a server says of a key.
type update struct {
	found bool
	entry Entry // with its content, when found
	at    Position
	asOf  time.Time // when it was so
}

// viewOf returns e with its View, which is its Revision where it is not said.
func viewOf(e Entry) Entry {
	e.View = cmp.Or(e.View, e.Revision)
	return e
}

// genuine reports whether e is key's and its content whole.
func genuine(e *Entry, key Key) bool {
	return e.Key.Canonical() == key && e.Revision > 0 &&
		e.Size == int64(len(e.Content)) && e.MD5 == MD5Hex(e.Content)
}
