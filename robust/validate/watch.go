package validate

import (
	"strings"

	"github.com/linnaname/gdiamond/robust/record"
)

// Watches checks INV-3. Every watch returned exactly the changes of the log between its start
// and its end: filtered, ordered, unique, reliable. No set was split over two answers (atomic).
// A watch that began at the position of an earlier one continued exactly there (resumable,
// bookmarkable).
func Watches(h *record.History) []Problem {
	p := problems{invariant: "INV-3"}
	for i := range h.Watches {
		watch(&p, h, i)
	}
	return p.found
}

func watch(p *problems, h *record.History, i int) {
	w := &h.Watches[i]
	var want []record.Change
	for _, c := range h.Log {
		if strings.HasPrefix(c.Key, "_") { // a document of the rights, which no watch is after
			continue
		}
		if c.Revision > w.After && c.Revision <= w.Until && (c.Op == "fork" || strings.HasPrefix(c.DataID, w.Prefix)) {
			want = append(want, c)
		}
	}
	for j, e := range w.Events {
		if j >= len(want) {
			p.add("watch %d after %d: brought change %d of revision %d, and the log has no more up to %d", i, w.After, e.Number, e.Revision, w.Until)
			return
		}
		c := want[j]
		if e.Revision != c.Revision || e.Number != c.Number || e.Key != c.Key || e.Deleted != (c.Op == "delete") {
			p.add("watch %d after %d: brought change %d of revision %d where the log has change %d of %d", i, w.After, e.Number, e.Revision, c.Number, c.Revision)
			return
		}
		if e.Digest != c.Digest {
			p.found = append(p.found, Problem{"INV-8", "a watch brought another content of " + c.Key + " than the log has"})
		}
		if j > 0 && w.Events[j-1].Revision == e.Revision && w.Events[j-1].Batch != e.Batch {
			p.add("watch %d after %d: revision %d is split over two answers", i, w.After, e.Revision)
		}
	}
	if len(w.Events) < len(want) {
		c := want[len(w.Events)]
		p.add("watch %d after %d: did not bring change %d of revision %d, and went on to %d", i, w.After, c.Number, c.Revision, w.Until)
	}
}
