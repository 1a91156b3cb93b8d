package govern

import (
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// The modes of a centre.
const (
	ModeClosed  = conf.ModeClosed  // what is not granted is refused
	ModeObserve = conf.ModeObserve // what is not granted is counted and logged, and let through
)

// Marker says that the store is governed. It is the document centre/marker.
type Marker struct {
	Format  int64     `json:"format"`
	Mode    string    `json:"mode"`              // ModeClosed or ModeObserve
	Created time.Time `json:"created,omitempty"` // never changes
	By      string    `json:"by,omitempty"`      // the process that set the store up; never changes
	Unknown Unknown   `json:"-"`
}

// Key implements [Document].
func (m *Marker) Key() conf.Key { return KeyOf(KindCentre, "marker") }

func (m *Marker) format() *int64 { return &m.Format }

func (m *Marker) validate(p *problems) {
	if m.Mode != ModeClosed && m.Mode != ModeObserve {
		p.add("mode: %s is neither %s nor %s", conf.Clip(m.Mode), ModeClosed, ModeObserve)
	}
	p.text("by", plainProblem(m.By, maxDescription))
}

// StoreSecret has the keys of a store. It is the document centre/secret, which no caller
// can read or write.
type StoreSecret struct {
	Format    int64   `json:"format"`
	Positions []byte  `json:"positions"` // 32 bytes: the key of the MACs in positions
	Unknown   Unknown `json:"-"`
}

// Key implements [Document].
func (s *StoreSecret) Key() conf.Key { return KeyOf(KindCentre, "secret") }

func (s *StoreSecret) format() *int64 { return &s.Format }

func (s *StoreSecret) validate(p *problems) {
	const size = 32
	if len(s.Positions) != size {
		p.add("positions: %d bytes, not %d", len(s.Positions), size)
	}
}

// Credentials confirm credentials of before a fork or a restore, which may have brought
// revoked ones back. It is the document centre/credentials.
type Credentials struct {
	Format int64 `json:"format"`
	// Generation is the newest generation of an epoch in which older tokens are valid.
	Generation int64   `json:"generation"`
	Unknown    Unknown `json:"-"`
}

// Key implements [Document].
func (c *Credentials) Key() conf.Key { return KeyOf(KindCentre, "credentials") }

func (c *Credentials) format() *int64 { return &c.Format }

func (c *Credentials) validate(p *problems) {
	if c.Generation < 0 {
		p.add("generation: is negative")
	}
}
