package govern

import "github.com/linnaname/gdiamond/conf"

// entry is a document with what decisions need of it. It does not change.
type entry struct {
	revision int64
	size     int64    // of the content, in bytes
	doc      Document // nil if err is set
	err      error    // why the document cannot be read

	grants map[string][]Grant // of Grants, by subject
	verbs  verbSet            // of a Role
}

// readEntry reads the document of a change.
func readEntry(c *conf.Change) *entry {
	e := &entry{revision: c.Revision, size: int64(len(c.Content))}
	if e.doc, e.err = ParseDocument(c.Key, c.Content); e.err != nil {
		return e
	}
	return e.prepare()
}

// prepare fills what is made of doc.
func (e *entry) prepare() *entry {
	switch d := e.doc.(type) {
	case *Grants:
		e.grants = make(map[string][]Grant, len(d.Grants))
		for _, g := range d.Grants {
			e.grants[g.Subject] = append(e.grants[g.Subject], g)
		}
	case *Role:
		e.verbs = d.set()
	}
	return e
}

// document returns the document of e as a D, or the zero D (nil) if e has none. e may be nil.
func document[D Document](e *entry) (doc D) {
	if e != nil {
		doc, _ = e.doc.(D)
	}
	return doc
}

// roles returns the roles that e grants, each once. e may be nil.
func (e *entry) roles() set {
	used := make(set)
	if g := document[*Grants](e); g != nil {
		for i := range g.Grants {
			used.add(g.Grants[i].Role)
		}
	}
	return used
}
