package validate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/robust/record"
)

// Rights checks INV-14 for a run with rights. Nobody was served by a server that had reached the
// revision of a revocation; nobody was refused who had the right all the time; every commit of
// a guest was made while its grant was there; and nothing else than what a guest may lose was
// refused to others.
func Rights(h *record.History) []Problem {
	p := problems{invariant: "INV-14"}
	of := make(map[string][]record.Right)
	for _, r := range h.Rights {
		of[r.What] = append(of[r.What], r)
	}
	for _, events := range of {
		slices.SortFunc(events, func(a, b record.Right) int { return cmp.Compare(a.Revision, b.Revision) })
	}
	for _, probe := range h.Probes {
		grant, secret := of[probe.Grant], of[probe.Secret]
		switch probe.Outcome {
		case record.OK:
			from := probe.Position
			if probe.Kind == "commit" {
				from = probe.Floor // the log says more; see below
			}
			if certainly(grant, false, from, probe.Return) {
				p.add("node %d served a %s as of revision %d after it had lost %s", probe.Node, probe.Kind, from, probe.Grant)
			}
			if certainly(secret, false, probe.Floor, probe.Return) {
				p.add("node %d at revision %d served a %s with the revoked %s", probe.Node, probe.Floor, probe.Kind, probe.Secret)
			}
		case record.Denied:
			if certainly(grant, true, probe.Floor, probe.Return) {
				p.add("node %d at revision %d refused a %s to who had %s", probe.Node, probe.Floor, probe.Kind, probe.Grant)
			}
		case record.Unauthenticated:
			if certainly(secret, true, probe.Floor, probe.Return) {
				p.add("node %d at revision %d did not take the valid %s of a %s", probe.Node, probe.Floor, probe.Secret, probe.Kind)
			}
		}
	}
	for _, c := range h.Log {
		guest, ok := strings.CutPrefix(c.Key, guests)
		if !ok || len(h.Rights) == 0 {
			continue
		}
		if held, known := at(of["grant "+guest], c.Revision); known && !held {
			p.add("%s committed revision %d without its grant", guest, c.Revision)
		}
	}
	if len(h.Rights) > 0 {
		permitted(&p, h)
	}
	return p.found
}

// guests is what the keys that guests write begin with.
const guests = "public/guests/"

// permitted adds the calls of those that never lose their rights and were refused for them.
func permitted(p *problems, h *record.History) {
	for _, o := range h.Ops {
		for _, words := range []string{"not permitted", "unauthenticated"} {
			if strings.Contains(o.Error, words) {
				p.add("a %s of client %d was refused: %s", o.Kind, o.Client, o.Error)
			}
		}
	}
}

// at reports whether something is held at a revision, and whether it had been given or taken
// before.
func at(events []record.Right, revision int64) (held, known bool) {
	for _, e := range events {
		if e.Revision > revision {
			break
		}
		held, known = e.Given, true
	}
	return held, known
}

// certainly reports whether something was held, or with held false was not, from a revision on
// and until the time: whatever later revision a server may have had by then.
func certainly(events []record.Right, held bool, from, until int64) bool {
	was, known := at(events, from)
	if !known || was != held {
		return false
	}
	return !slices.ContainsFunc(events, func(e record.Right) bool {
		return e.Revision > from && e.Given != held && e.Call <= until
	})
}
