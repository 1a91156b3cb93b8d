package govern

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/linnaname/gdiamond/conf"
)

// NewDocument returns an empty document for key. Errors wrap [conf.ErrInvalid]: key is not
// in [SystemNamespace], or its kind or name is none.
func NewDocument(key conf.Key) (Document, error) {
	if key.Namespace != SystemNamespace {
		return nil, conf.Invalidf("document: namespace %s is not %s", conf.Clip(key.Namespace), SystemNamespace)
	}
	name := key.DataID
	problem := ""
	var doc Document
	switch key.Group {
	case KindCentre:
		switch name {
		case "marker":
			doc = &Marker{}
		case "secret":
			doc = &StoreSecret{}
		case "credentials":
			doc = &Credentials{}
		default:
			problem = conf.Clip(name) + " is none of marker, secret and credentials"
		}
	case KindTenant:
		doc, problem = &Tenant{Name: name}, tenantProblem(name)
	case KindNamespace:
		doc, problem = &Namespace{ID: name}, namespaceProblem(name)
	case KindRole:
		doc, problem = &Role{Name: name}, nameProblem(name)
	case KindUser:
		doc, problem = &User{Name: name}, nameProblem(name)
	case KindToken:
		doc, problem = &Token{Name: name}, nameProblem(name)
	case KindTeam:
		doc, problem = &Team{Name: name}, nameProblem(name)
	case KindGrants:
		scope, err := ParseScope(name)
		if err != nil {
			problem = detail(err, "scope: ")
		} else if scope.GroupPrefix != "" {
			problem = "has a group prefix, which each grant has itself"
		}
		doc = &Grants{Scope: scope}
	default:
		return nil, conf.Invalidf("document: kind %s is none of centre, tenant, namespace, role, user, token, team and grants", conf.Clip(key.Group))
	}
	if problem != "" {
		return nil, conf.Invalidf("name of a %s: %s", key.Group, problem)
	}
	return doc, nil
}

// ParseDocument reads the document of key. A document of a later format gives an error that
// wraps [conf.ErrUnavailable] and has a [LaterFormat]. All other errors wrap
// [conf.ErrInvalid], or [conf.ErrTooLarge] beyond [MaxDocument], and name every field that
// is wrong, and its rule.
func ParseDocument(key conf.Key, content string) (Document, error) {
	doc, err := NewDocument(key)
	if err != nil {
		return nil, err
	}
	if len(content) > MaxDocument {
		return nil, conf.Errorf(conf.ErrTooLarge, "%s: %d bytes, more than %d", nameOf(key), len(content), MaxDocument)
	}
	var p problems
	root, problem := readStrict(content)
	if problem != "" {
		p.add("%s", problem)
		return nil, p.err(nameOf(key))
	}
	if n := formatOf(root); n > Format {
		return nil, &conf.Error{Key: key, Err: &LaterFormat{Key: key, Format: n}}
	}
	if root.raw()[0] != '{' {
		p.add("document: is not an object")
	} else {
		decodeObject(root, reflect.ValueOf(doc).Elem(), &p)
	}
	if len(p) == 0 {
		if *doc.format() != Format {
			p.add("format: is not %d", Format)
		}
		doc.validate(&p)
	}
	if err := p.err(nameOf(key)); err != nil {
		return nil, err
	}
	return doc, nil
}

// formatOf returns the format of a document, or 0 if it has none that is a number.
func formatOf(root tree) (n int64) {
	if root.raw()[0] != '{' {
		return 0
	}
	if format := root.field("format"); format == nil || json.Unmarshal([]byte(format.raw()), &n) != nil {
		return 0
	}
	return n
}

// Encode writes doc: JSON with two spaces of indentation and a newline at the end, its
// known fields in a fixed order, then the unknown ones by name. It validates nothing but
// what JSON cannot hold; errors wrap [conf.ErrInvalid].
func Encode(doc Document) (string, error) {
	if f := doc.format(); *f == 0 {
		*f = Format
	}
	var b, indented bytes.Buffer
	if err := encodeObject(&b, reflect.ValueOf(doc).Elem()); err != nil {
		return "", err
	}
	if err := json.Indent(&indented, b.Bytes(), "", "  "); err != nil {
		return "", conf.Invalidf("%s: %v", nameOf(doc.Key()), err)
	}
	indented.WriteByte('\n')
	return indented.String(), nil
}

// Validate reports everything that is wrong with doc, as [ParseDocument] does.
func Validate(doc Document) error {
	if _, err := NewDocument(doc.Key()); err != nil {
		return err
	}
	var p problems
	doc.validate(&p)
	return p.err(nameOf(doc.Key()))
}

// Draft returns the change that writes doc, on the condition that its document is at
// revision now, or with 0 that there is none. Programs that change several documents
// together, or documents with values, put it into a change set of their own. Errors wrap
// [conf.ErrInvalid] for a document that breaks a rule.
func Draft(doc Document, revision int64) (conf.Draft, error) {
	if err := Validate(doc); err != nil {
		return conf.Draft{}, err
	}
	content, err := Encode(doc)
	if err != nil {
		return conf.Draft{}, err
	}
	return conf.Draft{Key: doc.Key(), Content: content, Type: "json", IfRevision: &revision}, nil
}
