package validate

import (
	"regexp"
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/robust/record"
)

// place is one key at one client.
type place struct {
	client int
	key    string
}

// Told checks the calls of listeners. Values never go back (INV-4), equal the log's at that
// revision (INV-8), are removed only by a deletion (INV-9), and end with the last value
// (INV-10).
func Told(h *record.History) (found []Problem) {
	byKey := make(map[string][]record.Change)
	for _, c := range h.Log {
		byKey[c.Key] = append(byKey[c.Key], c)
	}
	told := make(map[place][]record.Told)
	var places []place
	for _, t := range h.Told {
		at := place{t.Client, t.Key}
		if _, ok := told[at]; !ok {
			places = append(places, at)
		}
		told[at] = append(told[at], t)
	}
	for _, at := range places {
		found = append(found, never(at, told[at], byKey[at.key])...)
	}
	for _, l := range h.Listeners {
		found = append(found, finally(l, told[place{l.Client, l.Key}], ends(h, byKey[l.Key]))...)
	}
	return found
}

// never checks the invariants that hold at any time, including restarts of the client.
func never(at place, told []record.Told, log []record.Change) (found []Problem) {
	add := func(invariant, format string, args ...any) {
		p := problems{invariant: invariant}
		p.add("client %d, %s: "+format, append([]any{at.client, at.key}, args...)...)
		found = append(found, p.found...)
	}
	changes := make(map[int64]record.Change)
	for _, c := range log {
		changes[c.Revision] = c
	}
	revision, digest, session, refused := int64(0), "", -1, false
	for _, t := range told {
		// After a restart the same value may come again, and when servers begin or cease to
		// refuse the key.
		fresh := t.Session != session || t.Refused != refused
		session, refused = t.Session, t.Refused
		if t.Deleted {
			digest = ""
			deleted := false
			for _, c := range log {
				deleted = deleted || c.Op == "delete" && c.Revision > revision
			}
			if !deleted {
				add("INV-9", "it was taken away, and nobody had deleted it after revision %d", revision)
			}
			continue
		}
		if t.Revision < revision || t.Revision == revision && !fresh {
			add("INV-4", "told of revision %d after %d", t.Revision, revision)
		}
		if t.Digest == digest && !fresh {
			add("C7", "told of revision %d, whose value is equal to the one before", t.Revision)
		}
		c, ok := changes[t.Revision]
		if !ok || c.Op != "publish" || c.Digest != t.Digest {
			add("INV-8", "told of a content at revision %d that the log does not have there", t.Revision)
		}
		revision, digest = t.Revision, t.Digest
	}
	return found
}

// ends returns the changes that may be the last one of a key in a final state: the last change
// that all had reached, or zero if there is none, and the later ones.
func ends(h *record.History, changes []record.Change) []record.Change {
	known := len(changes)
	for h.Settled > 0 && known > 0 && changes[known-1].Revision > h.Settled {
		known--
	}
	if known == 0 {
		return append([]record.Change{{}}, changes...)
	}
	return changes[known-1:]
}

// finally checks that a listener that exists in the end has the value of one of ends. Its
// revision may be an earlier one, because listeners are not called for an equal value.
func finally(l record.Listener, told []record.Told, ends []record.Change) (found []Problem) {
	var last record.Told // zero if the listener was never called
	for _, t := range told {
		if t.Session == l.Session {
			last = t
		}
	}
	for _, want := range ends {
		p := problems{invariant: "INV-10"}
		switch {
		case last.Refused:
			p.add("client %d, %s: ends refused", l.Client, l.Key)
		case want.Op != "publish" && last.Revision > 0 && !last.Deleted:
			p.add("client %d, %s: ends at revision %d, and it was deleted at %d", l.Client, l.Key, last.Revision, want.Revision)
		case want.Op == "publish" && (last.Deleted || last.Digest != want.Digest || last.Revision > want.Revision):
			p.add("client %d, %s: ends at revision %d (deleted: %v), and it is at %d", l.Client, l.Key, last.Revision, last.Deleted, want.Revision)
		}
		if found = p.found; len(found) == 0 {
			return nil
		}
	}
	return found
}

// Converged checks INV-5: in the end all clients hold the values of the storage.
func Converged(h *record.History) []Problem {
	p := problems{invariant: "INV-5"}
	compare(&p, h, h.Held)
	return p.found
}

// Nodes checks INV-13: in the end all servers have the state of the storage.
func Nodes(h *record.History) []Problem {
	p := problems{invariant: "INV-13"}
	compare(&p, h, h.Nodes)
	return p.found
}

func compare(p *problems, h *record.History, held []record.Held) {
	now := make(map[string]record.Held)
	for _, e := range h.Entries {
		now[e.Key] = e
	}
	byKey := make(map[string][]record.Change)
	for _, c := range h.Log {
		byKey[c.Key] = append(byKey[c.Key], c)
	}
	for _, got := range held {
		want := now[got.Key]
		possible := []record.Held{want}
		ends := ends(h, byKey[got.Key])
		for _, c := range ends[:len(ends)-1] { // the last one is the storage's
			if c.Op != "publish" {
				c = record.Change{}
			}
			possible = append(possible, record.Held{Revision: c.Revision, Digest: c.Digest})
		}
		same := func(w record.Held) bool { return got.Revision == w.Revision && got.Digest == w.Digest }
		if got.Error != "" || !slices.ContainsFunc(possible, same) {
			p.add("%s has %s at revision %d (%s), the storage at %d", got.Who, got.Key, got.Revision, got.Error, want.Revision)
		}
	}
}

// secret is the form of a token's secret.
var secret = regexp.MustCompile(`gd_[A-Za-z0-9_-]{43}`)

// Canary checks INV-12: no text, such as a log, has the canary, which is only in contents, or
// the secret of a token.
func Canary(canary string, texts map[string]string) []Problem {
	p := problems{invariant: "INV-12"}
	for name, text := range texts {
		if secret.MatchString(text) {
			p.add("%s holds the secret of a token", name)
		}
		if i := strings.Index(text, canary); i >= 0 {
			line := text[strings.LastIndexByte(text[:i], '\n')+1:]
			line, _, _ = strings.Cut(line, "\n")
			p.add("%s holds a content: %.300s", name, line)
		}
	}
	return p.found
}
