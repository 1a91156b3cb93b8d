package govern

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func position(revision int64) conf.Position {
	return conf.Position{
		Store: conf.StoreID{1}, Epoch: conf.Epoch{Generation: 1, ID: [16]byte{2}}, Revision: revision,
		Chain: sha256.Sum256(fmt.Append(nil, revision)),
	}
}

// A sealed position says nothing of the chain to who lacks the secret, and is otherwise the
// position.
func TestSeal_HidesTheChainAndNothingElse(t *testing.T) {
	s := newSealer([]byte("secret"))
	p := position(7)
	sealed := s.seal(p)
	assert.NotEqual(t, p.Chain, sealed.Chain)
	for _, half := range [][]byte{sealed.Chain[:macSize], sealed.Chain[macSize:]} {
		assert.NotContains(t, string(p.Chain[:]), string(half))
		plain := sha256.Sum256(p.Chain[:]) // what a caller could compute from a guess
		assert.NotEqual(t, plain[:macSize], half)
	}
	sealed.Chain = p.Chain
	assert.Equal(t, p, sealed)
	assert.True(t, s.seal(conf.Position{}).IsZero())
}

// All servers of a store seal alike, because clients compare positions of several servers.
func TestSeal_IsTheSameAtEachServer(t *testing.T) {
	a, b := newSealer([]byte("secret")), newSealer([]byte("secret"))
	assert.Equal(t, a.seal(position(7)), b.seal(position(7)))
	assert.NotEqual(t, a.seal(position(7)), newSealer([]byte("other")).seal(position(7)))
	changed := position(7)
	changed.Chain[0]++
	assert.NotEqual(t, a.seal(position(7)), a.seal(changed), "another history")
}

// A position that is forged, or that was given before the store was governed, is told from one
// of lost history: only the latter is proven and has another chain.
func TestSeal_ForgedIsToldFromLost(t *testing.T) {
	s := newSealer([]byte("secret"))
	here, lost := position(7), position(7)
	lost.Chain[0]++
	assert.True(t, s.proven(s.seal(lost)))
	assert.False(t, s.isOf(s.seal(lost), here.Chain))
	assert.True(t, s.isOf(s.seal(here), here.Chain))

	assert.False(t, s.proven(here), "as an open server gave it")
	for i := range len(conf.Chain{}) {
		forged := s.seal(here)
		forged.Chain[i] ^= 1
		assert.False(t, s.proven(forged), "byte %d", i)
	}
	for name, change := range map[string]func(p *conf.Position){
		"revision":   func(p *conf.Position) { p.Revision++ },
		"generation": func(p *conf.Position) { p.Epoch.Generation++ },
		"epoch":      func(p *conf.Position) { p.Epoch.ID[0]++ },
		"store":      func(p *conf.Position) { p.Store[0]++ },
	} {
		forged := s.seal(here)
		change(&forged)
		assert.False(t, s.proven(forged), name)
	}
}

// What is remembered is exactly what was sealed.
func TestSeal_Recall(t *testing.T) {
	s := newSealer([]byte("secret"))
	_, ok := s.recall(position(7))
	assert.False(t, ok, "nothing is remembered")
	sealed := s.seal(position(7))
	plain, ok := s.recall(sealed)
	require.True(t, ok)
	assert.Equal(t, position(7), plain)
	for name, change := range map[string]func(p *conf.Position){
		"code":       func(p *conf.Position) { p.Chain[0]++ },
		"proof":      func(p *conf.Position) { p.Chain[31]++ },
		"revision":   func(p *conf.Position) { p.Revision += sealsKept },
		"generation": func(p *conf.Position) { p.Epoch.Generation++ },
		"store":      func(p *conf.Position) { p.Store[0]++ },
	} {
		forged := sealed
		change(&forged)
		_, ok := s.recall(forged)
		assert.False(t, ok, name)
	}
	s.seal(position(7 + sealsKept))
	_, ok = s.recall(sealed)
	assert.False(t, ok, "a later one has its place")
}

// An answer at a position that was sealed before costs no code.
func TestSeal_OnceAPosition(t *testing.T) {
	s := newSealer([]byte("secret"))
	p := position(7)
	s.seal(p)
	assert.Zero(t, testing.AllocsPerRun(100, func() { s.seal(p) }))
}

func TestSeal_OfAnOpenStore(t *testing.T) {
	s := newSealer(nil)
	assert.Nil(t, s)
	assert.Equal(t, position(7), s.seal(position(7)))
}
