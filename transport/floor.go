package transport

import (
	"github.com/linnaname/gdiamond/conf"
)

// answeredBy says whether the position of an answer is that of a server or of a storage.
type answeredBy int

const (
	byNobody  answeredBy = iota // the answer has no position
	byServer                    // the server has reached it, and serves it
	byStorage                   // the storage has reached it; the server may not have yet
)

// floor holds the newest positions that answers had, below which no later answer
// may be.
type floor struct {
	served conf.Position
	stored conf.Position // or served, if that is newer
}

// of returns the position below which an answer of this kind must not be.
func (f *floor) of(by answeredBy) conf.Position {
	if by == byServer {
		return f.served
	}
	return f.stored
}

// raise takes a position if it is newer.
func (f *floor) raise(by answeredBy, p conf.Position) {
	if by == byServer {
		raise(&f.served, p)
	}
	raise(&f.stored, p)
}

func raise(to *conf.Position, p conf.Position) {
	if to.IsZero() || p.Store == to.Store && p.Compare(*to) > 0 {
		*to = p
	}
}

// check returns an error if an answer's position is below floor. A zero position is not
// compared.
func check(floor, answer conf.Position) error {
	switch {
	case floor.IsZero() || answer.IsZero():
		return nil
	case answer.Store != floor.Store:
		return conf.Errorf(conf.ErrOtherStore, "server has store %s, not %s", answer.Store, floor.Store)
	case answer.Compare(floor) < 0:
		return conf.Errorf(conf.ErrBehind, "server is at generation %d revision %d, below generation %d revision %d",
			answer.Epoch.Generation, answer.Revision, floor.Epoch.Generation, floor.Revision)
	}
	return nil
}
