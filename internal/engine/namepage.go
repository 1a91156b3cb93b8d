package engine

import (
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// namePage collects the names of one page from all names, in any order. It holds a few times
// as many as the page has.
type namePage struct {
	after clientName
	first bool // the page has no page before
	limit int
	held  []clientName
	full  bool       // no name above last is on the page
	last  clientName // if full
}

// newNamePage returns the page after the name that a request gives, of at most limit names.
func newNamePage(after string, limit int) (*namePage, error) {
	n, err := conf.PageLimit(limit)
	if err != nil {
		return nil, err
	}
	if len(after) > maxAfter {
		return nil, conf.Invalidf("after: %d bytes, more than %d", len(after), maxAfter)
	}
	return &namePage{after: parseClientName(after), first: after == "", limit: n}, nil
}

// maxAfter is the maximum size of a name in a request in bytes.
const maxAfter = 1024

// add adds a name. It may be added more than once.
func (p *namePage) add(name clientName) {
	if !p.first && name.compare(p.after) <= 0 || p.full && name.compare(p.last) > 0 {
		return
	}
	if p.held = append(p.held, name); len(p.held) >= 4*(p.limit+1) {
		p.cut()
	}
}

// cut drops the names that are not on the page, but for the one after it.
func (p *namePage) cut() {
	slices.SortFunc(p.held, clientName.compare)
	p.held = slices.Compact(p.held)
	if len(p.held) > p.limit {
		p.held = p.held[:p.limit+1]
		p.full, p.last = true, p.held[p.limit]
	}
}

// names returns the names of the page, in order, and the name after which the next page
// begins, or "" if there is none.
func (p *namePage) names() (names []clientName, next string) {
	p.cut()
	if len(p.held) <= p.limit {
		return p.held, ""
	}
	return p.held[:p.limit], p.held[p.limit-1].String()
}
