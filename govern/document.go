package govern

import (
	"fmt"

	"github.com/linnaname/gdiamond/conf"
)

// Format is the format of the documents that this program writes, and the latest that it
// reads.
const Format = 1

// SystemNamespace is the namespace of all documents.
const SystemNamespace = "_govern"

// The kinds of documents, which are the groups of their keys.
const (
	KindCentre    = "centre"    // Marker, StoreSecret and Credentials
	KindTenant    = "tenant"    // Tenant
	KindNamespace = "namespace" // Namespace
	KindRole      = "role"      // Role
	KindUser      = "user"      // User
	KindToken     = "token"     // Token
	KindTeam      = "team"      // Team
	KindGrants    = "grants"    // Grants; the name is a scope
)

// Document is one of [Tenant], [Namespace], [Role], [User], [Token], [Team], [Grants],
// [Marker], [StoreSecret] and [Credentials], as a pointer.
type Document interface {
	// Key returns the key of the document's entry.
	Key() conf.Key
	// format returns the field Format, which all documents have. Encode writes 0 as [Format].
	format() *int64
	// validate adds everything that is wrong with the fields.
	validate(p *problems)
}

// KeyOf returns the key of the document of a kind and a name. The name of [Grants] is a
// scope; see [Scope.String].
func KeyOf(kind, name string) conf.Key {
	return conf.Key{Namespace: SystemNamespace, Group: kind, DataID: name}
}

// nameOf returns how messages call the document of key.
func nameOf(key conf.Key) string {
	return key.Group + " " + key.DataID
}

// LaterFormat says that a document is of a later format than this program reads. It wraps
// [conf.ErrUnavailable].
type LaterFormat struct {
	Key    conf.Key // of the document
	Format int64
}

// Error says which document it is, and both formats.
func (e *LaterFormat) Error() string {
	return fmt.Sprintf("%v: %s is of format %d, and this program reads up to %d; a newer program is needed",
		conf.ErrUnavailable, nameOf(e.Key), e.Format, Format)
}

// Unwrap returns [conf.ErrUnavailable].
func (e *LaterFormat) Unwrap() error { return conf.ErrUnavailable }
