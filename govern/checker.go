package govern

import (
	"strings"
	"time"

	"github.com/linnaname/gdiamond/conf"
)

// checker checks one set of documents.
type checker struct {
	*policy           // before the set
	next      *policy // after the set; what the set wrote has revision 0
	principal string
	set       *conf.ChangeSet
	force     bool
	used      usage
	now       time.Time
	out       conditions
}

// restOn makes the set rest on a document, unless the set writes it.
func (c *checker) restOn(key conf.Key) {
	if _, revision := c.document(key); draftOf(c.set, key) == nil && deleteOf(c.set, key) == nil {
		c.out.rest(conf.Check{Key: key, Revision: revision})
	}
}

// touch writes the tenant again as it is, unless the set writes it. Two servers that create
// namespaces in one environment, or create one and delete the tenant, would otherwise not
// learn of each other.
func (c *checker) touch(tenant *Tenant) error {
	if draftOf(c.set, tenant.Key()) != nil {
		return nil
	}
	content, err := Encode(tenant)
	if err != nil {
		return err
	}
	if len(content) > MaxDocument {
		return conf.Errorf(conf.ErrTooLarge, "%s: %d bytes as it is written, more than %d; make it smaller first", nameOf(tenant.Key()), len(content), MaxDocument)
	}
	_, revision := c.document(tenant.Key())
	c.out.touched = append(c.out.touched, conf.Draft{Key: tenant.Key(), Content: content, IfRevision: conf.Revision(revision)})
	return nil
}

// as returns doc as a D, or nil if it is none.
func as[D Document](doc Document) D { d, _ := doc.(D); return d }

// some returns a few names for a message.
func some(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}
