package transport

import (
	diamond "github.com/linnaname/gdiamond"
)

// seen is the newest position that any server has answered with.
type seen struct{ position diamond.Position }

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

// raise takes p where it is newer.
func (s *seen) raise(p diamond.Position) {
	if s.position.IsZero() || p.Store == s.position.Store && p.Compare(s.position) > 0 {
		s.position = p
	}
}
