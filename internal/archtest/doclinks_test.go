package archtest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/types"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	// bracketed is a name in brackets, such as [Name], [*Type], [Type.Method] or
	// [pkg.Name]. It follows no letter: Value[T] is a type. The groups are the name and
	// the letter after the brackets.
	bracketed = regexp.MustCompile(`(?:^|[^\pL\pN_\])])\[(\*?(?:[\w.-]+/)*[\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*){0,2})\]([\pL\pN_]?)`)
	// member is what follows a link to a type in [Type].Method.
	member = regexp.MustCompile(`^\.(\p{Lu}[\pL\pN_]*)`)
	// exportedName is a name that go doc would link to if it knew it: its last part
	// begins with a capital.
	exportedName = regexp.MustCompile(`(?:^|[*.])\p{Lu}[\pL\pN_]*$`)
)

// TestDocLinks: what doc comments of public packages put in brackets is a link in go
// doc, to something that exists. In [Type].Member the type has that field or method.
func TestDocLinks(t *testing.T) {
	var folders []string
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if !slices.Contains(strings.Split(name, "/"), "internal") {
			folders = append(folders, name)
		}
	}
	links := 0
	loaded := load(t, folders...)
	for _, folder := range slices.Sorted(maps.Keys(loaded)) {
		s := loaded[folder]
		if s.pkg.Name() == "main" {
			continue
		}
		found, problems := docLinks(t, s)
		links += found
		for _, problem := range problems {
			assert.Fail(t, problem, "package %q", folder)
		}
	}
	assert.Greater(t, links, 100, "links found: does the test still see them?")
}

// TestDocLinkRules: the rules find what they are for, in a package made for that.
func TestDocLinkRules(t *testing.T) {
	const folder = "internal/archtest/testdata/doclinks"
	links, problems := docLinks(t, load(t, folder)[folder])
	assert.Equal(t, 30, links)
	assert.Equal(t, []string{
		"links.go:38: [Absent] is no link in go doc",
		"links.go:39: [*Absent] is no link in go doc",
		"links.go:40: [Client.Absent] is no link in go doc",
		"links.go:41: [template.Template] is no link in go doc",
		"links.go:42: [Client]s is no link in go doc",
		"links.go:43: [context.Absent] is not in context",
		"links.go:44: [stdio.Reader.Absent] is not in io",
		"links.go:45: [text/template.Absent] is not in text/template",
		"links.go:46: [absent.example/module.Name] is not in absent.example/module",
		"links.go:47: [Client].Absent is not in this package",
		"links.go:48: [stdio.Reader].Absent is not in io",
		"links.go:49: [New].Get is not in this package",
		"links.go:50: [os.FileMode.Perm] is not in os",
		"links.go:51: [hidden] is no link in go doc",
		"links.go:52: [hidden.field] is no link in go doc",
		"links.go:56: [Absent] is no link in go doc",
		"links.go:57: [Absent] is no link in go doc",
		"links.go:62: [Absent] is no link in go doc",
		"links.go:67: [hidden.absent] is not in this package",
	}, problems)
}

// docLinks returns the number of links in the doc comments of a package, and those
// that go doc does not show as such or that lead nowhere.
func docLinks(t *testing.T, s *source) (links int, problems []string) {
	comments := docComments(s) // before go/doc takes away fields that are not exported
	documented, err := doc.NewFromFiles(s.fset, s.files, s.pkg.Path(), doc.PreserveAST)
	require.NoError(t, err)
	parser := documented.Parser()
	type problem struct {
		file, text string
		line       int
	}
	var all []problem
	for _, c := range comments {
		fault := func(text, what string) {
			at := s.fset.Position(c.Pos())
			for _, line := range c.List {
				if strings.Contains(line.Text, text) {
					at = s.fset.Position(line.Pos())
					at.Line += strings.Count(line.Text[:strings.Index(line.Text, text)], "\n")
					break
				}
			}
			all = append(all, problem{s.file(c.Pos()), text + what, at.Line})
		}
		for _, span := range spans(parser.Parse(c.Text()).Content) {
			for i, part := range span {
				after := ""
				if i+1 < len(span) {
					after = plain(span[i+1])
				}
				switch part := part.(type) {
				case *comment.DocLink:
					links++
					in := cmp.Or(part.ImportPath, "this package")
					text := "[" + plain(part) + "]"
					if !s.has(part.ImportPath, part.Recv, part.Name) {
						fault(text, " is not in "+in)
					} else if m := member.FindStringSubmatch(after); m != nil && part.Recv == "" && s.field(part.ImportPath, part.Name, m[1]) == nil {
						fault(text+m[0], " is not in "+in)
					}
				case comment.Plain, comment.Italic:
					for _, m := range bracketed.FindAllStringSubmatch(plain(part), -1) {
						name := strings.TrimPrefix(m[1], "*")
						typ, field, _ := strings.Cut(name, ".")
						own := s.pkg.Scope().Lookup(typ) != nil
						switch {
						case exportedName.MatchString(name), own && c.exported:
							fault("["+m[1]+"]"+m[2], " is no link in go doc")
						case own && field != "":
							links++
							if s.field("", typ, field) == nil {
								fault("["+m[1]+"]", " is not in this package")
							}
						case own:
							links++
						}
					}
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.text, b.text))
	})
	for _, p := range all {
		problems = append(problems, fmt.Sprintf("%s:%d: %s", p.file, p.line, p.text))
	}
	return links, problems
}

// has reports whether go doc shows a name, or a field or method of the type recv,
// among what a package declares. It shows those of an alias where its type is declared.
func (s *source) has(path, recv, name string) bool {
	if recv == "" {
		return s.declared(path, name) != nil
	}
	typ, ok := s.declared(path, recv).(*types.TypeName)
	return ok && !typ.IsAlias() && s.field(path, recv, name) != nil
}

// field returns the field or method of that name of a type or of a variable.
func (s *source) field(path, of, name string) types.Object {
	switch obj := s.declared(path, of).(type) {
	case *types.TypeName, *types.Var:
		found, _, _ := types.LookupFieldOrMethod(obj.Type(), true, obj.Pkg(), name)
		return found
	}
	return nil
}

// declared returns what a package, or this one if path is empty, declares by a name.
func (s *source) declared(path, name string) types.Object {
	pkg := s.pkg
	if path != "" {
		var err error
		if pkg, err = s.imports.Import(path); err != nil {
			return nil
		}
	}
	return pkg.Scope().Lookup(name)
}

// docComment is the comment of a declaration, a field or a method of an interface.
type docComment struct {
	*ast.CommentGroup
	exported bool // go doc shows it
}

func docComments(s *source) (all []docComment) {
	add := func(exported bool, groups ...*ast.CommentGroup) {
		for _, g := range groups {
			if g != nil {
				all = append(all, docComment{g, exported})
			}
		}
	}
	exported := func(names []*ast.Ident) bool { return slices.ContainsFunc(names, (*ast.Ident).IsExported) }
	for _, f := range s.files {
		add(true, f.Doc)
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				add(d.Name.IsExported() && exportedReceiver(d), d.Doc)
			case *ast.GenDecl:
				any := false
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.ValueSpec:
						any = any || exported(spec.Names)
						add(exported(spec.Names), spec.Doc, spec.Comment)
					case *ast.TypeSpec:
						any = any || spec.Name.IsExported()
						add(spec.Name.IsExported(), spec.Doc, spec.Comment)
						ast.Inspect(spec.Type, func(n ast.Node) bool {
							if field, ok := n.(*ast.Field); ok {
								add(spec.Name.IsExported() && exported(field.Names), field.Doc, field.Comment)
							}
							return true
						})
					}
				}
				add(any, d.Doc)
			}
		}
	}
	return all
}

// spans returns the texts of paragraphs, headings and lists. Code has no links.
func spans(blocks []comment.Block) (all [][]comment.Text) {
	for _, b := range blocks {
		switch b := b.(type) {
		case *comment.Paragraph:
			all = append(all, b.Text)
		case *comment.Heading:
			all = append(all, b.Text)
		case *comment.List:
			for _, item := range b.Items {
				all = append(all, spans(item.Content)...)
			}
		}
	}
	return all
}

// plain returns the text of a part without its markup.
func plain(part comment.Text) string {
	switch part := part.(type) {
	case comment.Plain:
		return string(part)
	case comment.Italic:
		return string(part)
	case *comment.DocLink:
		var b strings.Builder
		for _, inner := range part.Text {
			b.WriteString(plain(inner))
		}
		return b.String()
	}
	return ""
}
