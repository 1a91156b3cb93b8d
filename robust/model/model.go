// Package model has the sequential specification of one key, against which the recorded calls
// are checked for linearizability (INV-1).
package model

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/linnaname/gdiamond/robust/record"
)

// state is the state of a key.
type state struct {
	revision int64 // of the entry, or 0 if there is none
	digest   string
	last     int64 // the revision of the last change, including deletions
}

// Model returns the specification of one key. Inputs and outputs are both the
// [record.Op].
func Model() porcupine.Model {
	return porcupine.Model{
		Init:              func() any { return state{} },
		Step:              func(s, input, _ any) (bool, any) { return step(s.(state), input.(record.Op)) },
		Equal:             func(a, b any) bool { return a == b },
		DescribeOperation: func(input, _ any) string { return describe(input.(record.Op)) },
		DescribeState: func(s any) string {
			st := s.(state)
			return fmt.Sprintf("revision %d, %.8s", st.revision, st.digest)
		},
	}
}

func step(now state, o record.Op) (bool, state) {
	switch {
	case o.Kind == record.Get:
		return now.revision == o.Revision && now.digest == o.Digest, now
	case o.Kind == record.Delete && o.Outcome == record.Conflict:
		return now.revision == 0, now
	case o.Kind == record.Delete:
		return now.revision != 0 && o.Revision > now.last, state{last: o.Revision}
	case o.Outcome == record.Conflict:
		return o.Kind == record.CAS && now.revision != o.Want, now
	case o.Kind == record.CAS && now.revision != o.Want:
		return false, now
	}
	return o.Revision > now.last, state{o.Revision, o.Digest, o.Revision}
}

func describe(o record.Op) string {
	s := fmt.Sprintf("%s %s", o.Kind, o.ID)
	if o.Kind == record.CAS {
		s += fmt.Sprintf(" if %d", o.Want)
	}
	if o.Outcome != record.OK {
		return s + ": " + string(o.Outcome)
	}
	return s + fmt.Sprintf(": %d, %.8s", o.Revision, o.Digest)
}

// Operations returns the calls by key. It resolves unknown outcomes from the log: a call that
// is not in the log was not done. A call that is in the log has the log's revision, and counts
// as returned when a read first showed that revision.
func Operations(h *record.History) map[string][]porcupine.Operation {
	revisions := make(map[string]int64)
	for i := range h.Log {
		revisions[h.Log[i].ID] = h.Log[i].Revision
	}
	seen := firstSeen(h)
	byKey := make(map[string][]porcupine.Operation)
	for _, o := range h.Ops {
		switch o.Outcome {
		case record.Failed:
			continue
		case record.Unknown:
			revision, done := revisions[o.ID]
			if !done {
				continue
			}
			o.Revision, o.Return = revision, math.MaxInt64
			if at, ok := seen[revision]; ok {
				o.Return = max(at, o.Call+1)
			}
		}
		for _, key := range o.Keys {
			byKey[key] = append(byKey[key], porcupine.Operation{ClientId: o.Client, Input: o, Output: o, Call: o.Call, Return: o.Return})
		}
	}
	return byKey
}

// firstSeen returns the time when a read first showed each revision. Reads that begin later
// ask for at least that revision. Calls of listeners and watches do not count, because a later
// read at another server may not show their revision.
func firstSeen(h *record.History) map[int64]int64 {
	first := make(map[int64]int64)
	for _, o := range h.Ops {
		if o.Kind != record.Get || o.Outcome != record.OK {
			continue
		}
		if old, ok := first[o.Revision]; !ok || o.Return < old {
			first[o.Revision] = o.Return
		}
	}
	return first
}

// Result is the result of the check of one key.
type Result struct {
	Key    string
	Result porcupine.CheckResult
	Info   porcupine.LinearizationInfo
}

// Check checks every key, and returns those that are not linearizable, or for which the search
// took longer than timeout.
//
// It makes two checks: of all writes, including those with a conflict; and of the successful
// writes with the reads. It does not check all of them together. A read shows everything that
// was acknowledged before it began, but a conflict may be with a write that is not acknowledged
// yet, and a later read at another server need not show that write.
func Check(h *record.History, timeout time.Duration) (bad []Result) {
	for key, history := range Operations(h) {
		for _, left := range []func(record.Op) bool{
			func(o record.Op) bool { return o.Kind == record.Get },
			func(o record.Op) bool { return o.Outcome == record.Conflict },
		} {
			view := slices.DeleteFunc(slices.Clone(history), func(o porcupine.Operation) bool { return left(o.Input.(record.Op)) })
			result, info := porcupine.CheckOperationsVerbose(Model(), view, timeout)
			if result != porcupine.Ok {
				bad = append(bad, Result{key, result, info})
			}
		}
	}
	return bad
}
