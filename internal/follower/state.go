package follower

import (
	"cmp"
	"maps"
	"sync/atomic"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// presence says whether a key exists, according to a server.
type presence uint8

const (
	present  presence = iota
	absent            // it does not exist, and is not known to have existed
	deleted           // it existed before
	orphaned          // it existed in an earlier epoch; its value is kept
)

// knownState is the state of a key as of a position.
type knownState struct {
	entry     conf.Entry // the value, if present or orphaned
	presence  presence
	at        conf.Position // of the answer
	source    conf.Source   // SourceServer or SourceSnapshot
	confirmed time.Time     // when a server last said so, or zero if none has
}

// valueID identifies a value in a snapshot.
type valueID struct {
	revision int64
	md5      string
	deleted  bool
}

// visible is what a client shows of a key. It is immutable.
type visible struct {
	config conf.Config
	err    error // why there is no value, or nil if there is one
	// followed says that each answer to a poll confirms the value, so that it is as
	// fresh as the last answer.
	followed bool
}

// equals reports whether s and o are the same to a listener. It compares neither
// revisions nor sources: a value that is published again changes nothing for a
// program.
func (s *visible) equals(o *visible) bool {
	if s.err != nil || o.err != nil {
		return s.err != nil && o.err != nil
	}
	return (s.config.Refused == nil) == (o.config.Refused == nil) && EqualEntries(&s.config.Entry, &o.config.Entry)
}

// EqualEntries reports whether a and b have the same content, type and metadata.
func EqualEntries(a, b *conf.Entry) bool {
	return a.MD5 == b.MD5 && a.Content == b.Content && a.Type == b.Type && maps.Equal(a.Meta, b.Meta)
}

// fixed returns a copy of s with its present time of confirmation, which later
// answers do not move on.
func (s *visible) fixed(confirmedAsOf *atomic.Pointer[time.Time]) *visible {
	if s == nil || !s.followed {
		return s
	}
	config, err := s.read(confirmedAsOf)
	return &visible{config: config, err: err}
}

// confirmed returns when a server last confirmed s. confirmedAsOf is the time of
// the last answer to a poll.
func (s *visible) confirmed(confirmedAsOf *atomic.Pointer[time.Time]) time.Time {
	if s.followed {
		if t := confirmedAsOf.Load(); t != nil && t.After(s.config.Confirmed) {
			return *t
		}
	}
	return s.config.Confirmed
}

// read returns the config of s with its present time of confirmation, and its
// error.
func (s *visible) read(confirmedAsOf *atomic.Pointer[time.Time]) (conf.Config, error) {
	config := s.config
	config.Confirmed = s.confirmed(confirmedAsOf)
	return config, s.err
}

// update is what one answer of a server says about a key.
type update struct {
	found bool
	entry conf.Entry // with its content, if found
	at    conf.Position
	asOf  time.Time // when the server was in this state
}

// viewOf returns e with its View set. A View that is not given equals the Revision.
func viewOf(e conf.Entry) conf.Entry {
	e.View = cmp.Or(e.View, e.Revision)
	return e
}

// genuine reports whether e is an entry of key with a complete content.
func genuine(e *conf.Entry, key conf.Key) bool {
	return e.Key.Canonical() == key && e.Revision > 0 &&
		e.Size == int64(len(e.Content)) && e.MD5 == conf.MD5Hex(e.Content)
}
