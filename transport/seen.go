package transport

import (
	diamond "github.com/linnaname/gdiamond"
)

// tie says what the position of an answer is.
type tie int

const (
	untied tie = iota
	served     // the server has reached it, and serves it
	stored     // the storage has; a server may be about to
)

// seen are the newest positions that answers had.
type seen struct {
	served diamond.Position
	stored diamond.Position // or served, where that is newer
}

// newest returns the position that answers of this kind must not be below.
func (s *seen) newest(t tie) diamond.Position {
	if t == served {
		return s.served
	}
	return s.stored
}

// raise takes a position where it is newer.
func (s *seen) raise(t tie, p diamond.Position) {
	if t == served {
		raise(&s.served, p)
	}
	raise(&s.stored, p)
}

func raise(to *diamond.Position, p diamond.Position) {
	if to.IsZero() || p.Store == to.Store && p.Compare(*to) > 0 {
		*to = p
	}
}

// check compares an answer's position with the newest that was seen before
// the question. A position of nowhere says nothing.
func check(floor, answer diamond.Position) error {
	switch {
	case floor.IsZero() || answer.IsZero():
		return nil
	case answer.Store != floor.Store:
		return diamond.Errorf(diamond.ErrOtherStore, "server has store %s, not %s", answer.Store, floor.Store)
	case answer.Compare(floor) < 0:
		return diamond.Errorf(diamond.ErrBehind, "server is at generation %d revision %d, below generation %d revision %d",
			answer.Epoch.Generation, answer.Revision, floor.Epoch.Generation, floor.Revision)
	}
	return nil
}
