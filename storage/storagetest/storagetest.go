// Package storagetest is the conformance suite of [diamond.Storage] and
// [diamond.Replica]. A storage must pass it:
//
//	func TestStorage(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) diamond.Storage { return open(t) },
//			storagetest.Reopen(...), storagetest.Replica(...), storagetest.Retention(...))
//	}
//
// Each case checks one clause of the interfaces on a fresh store, and prints the clause if it
// fails. Additional abilities of a storage are declared as a [Capability]; cases that need
// a missing one are skipped.
package storagetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage"
)

// Open returns a fresh, empty store. The suite closes it.
type Open func(t *testing.T) diamond.Storage

// Capability is something that a storage can do beyond [diamond.Storage].
type Capability func(*suite)

// Reopen declares that stores outlive their process. reopen closes s, and opens its data
// again.
func Reopen(reopen func(t *testing.T, s diamond.Storage) diamond.Storage) Capability {
	return func(s *suite) { s.reopen = reopen }
}

// Copy is a storage that is also a replica.
type Copy interface {
	diamond.Storage
	diamond.Replica
}

// Replica declares that stores can be replicas. open returns a fresh, empty one.
func Replica(open func(t *testing.T) Copy) Capability {
	return func(s *suite) { s.replica = open }
}

// Pruned is a storage whose history can be pruned at any time.
type Pruned interface {
	diamond.Storage
	// Prune removes the history that the retention no longer keeps, and then returns.
	Prune(ctx context.Context) error
}

// Retention declares that history is pruned. open returns a fresh store with the given
// retention.
func Retention(open func(t *testing.T, retention storage.Retention) Pruned) Capability {
	return func(s *suite) { s.retention = open }
}

type suite struct {
	open      Open
	reopen    func(*testing.T, diamond.Storage) diamond.Storage
	replica   func(*testing.T) Copy
	retention func(*testing.T, storage.Retention) Pruned
}

// clause is one rule of the interfaces with its check.
type clause struct {
	name string
	rule string
	test func(p *probe)
}

// Run runs the suite on the stores that open returns.
func Run(t *testing.T, open Open, capabilities ...Capability) {
	s := &suite{open: open}
	for _, c := range capabilities {
		c(s)
	}
	groups := []struct {
		name    string
		able    bool
		clauses []clause
	}{
		{"Commit", true, commitClauses()},
		{"Request", true, requestClauses()},
		{"Read", true, readClauses()},
		{"Changes", true, changesClauses()},
		{"Scan", true, scanClauses()},
		{"History", true, historyClauses()},
		{"PositionAt", true, positionAtClauses()},
		{"Fork", true, forkClauses()},
		{"Close", true, closeClauses()},
		{"Concurrent", true, concurrentClauses()},
		{"Durable", s.reopen != nil, durableClauses()},
		{"Replica", s.replica != nil, replicaClauses()},
		{"Install", s.replica != nil, installClauses()},
		{"Retention", s.retention != nil, retentionClauses()},
		{"Machine", true, machineClauses()},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			if !g.able {
				t.Skip("the storage does not say that it can")
			}
			for _, c := range g.clauses {
				t.Run(c.name, func(t *testing.T) { s.run(t, c) })
			}
		})
	}
}

func (s *suite) run(t *testing.T, c clause) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("The rule: %s", c.rule)
		}
	})
	p := &probe{T: t, suite: s, store: s.open(t)}
	t.Cleanup(func() { require.NoError(t, p.store.Close()) })
	c.test(p)
}
