package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// secretValues are what holds a secret, the hash of one, or a code that is made with one: the
// fields PACKAGE.TYPE.FIELD, the results of PACKAGE.FUNCTION and PACKAGE.TYPE.METHOD, and the
// parameters FUNCTION(NAME). What is computed from one is one too.
var secretValues = strings.Fields(`
	conf.Proof.Token conf.Proof.User httptransport.isToken(s)
	govern.Secret.SHA256 govern.Secret.Hash govern.HashTokenSecret govern.NewTokenSecret govern.CheckTokenSecret(s)
	govern.policy.token(hash) govern.sameHash(a) govern.sameHash(b)
	govern.StoreSecret.Positions govern.sealer.key govern.newSealer(secret)
	govern.sealer.code govern.sealer.ofChain govern.sealer.ofCode govern.sealer.ofCode(m)
	govern.SetUpOptions.Token govern.SetUpResult.Token govern.setUp.token govern.ResetOptions.Token govern.ResetResult.Token
	cluster.mac.array cluster.newSummer(secret)`)

// secretComparisons are the places, as FUNCTION: COMPARISON, where they may be compared, or looked
// up, other than by crypto/subtle and crypto/hmac. At none of them does it help to measure time.
var secretComparisons = map[string]string{
	"govern.policy.token: govern.table.get":      "finds tokens by the SHA-256 of a secret, which nobody can approach step by step, to compare it in constant time",
	"govern.policy.replaceSecrets: govern.put":   "keeps the table for that",
	"govern.checker.tokenFits: govern.table.get": "asks that table, for somebody who may write tokens and has sent the hash",
	"govern.Token.validate: ==":                  "the hashes in one document with each other",
	"govern.Secret.Hash: !=":                     "a hash in a document with itself in lower case",
	"govern.narrowed: ==":                        "two versions of a document with each other",
	"govern.sealer.of: ==":                       "two versions of a document with each other",
	"govern.setUp.isOurs: ==":                    "a token of this process with a document, at a set-up",
	"govern.Centre.proveToken: !=":               "the user name of a Basic header with the name of the token that was found, which is no secret",
}

// comparing are functions that compare as fast as they can, or find a value by comparing. Of
// those that are given a function, the function is looked at.
var comparing = strings.Fields(`
	bytes.Equal bytes.EqualFold bytes.Compare bytes.HasPrefix bytes.HasSuffix bytes.Contains bytes.Index bytes.Cut bytes.CutPrefix bytes.CutSuffix
	strings.EqualFold strings.Compare strings.HasPrefix strings.HasSuffix strings.Contains strings.Index strings.Cut strings.CutPrefix strings.CutSuffix
	slices.Equal slices.Compare slices.Contains slices.Index slices.BinarySearch
	maps.Equal cmp.Compare cmp.Less reflect.DeepEqual govern.table.get govern.put`)

// TestX8_ComparisonsOfHashes: secrets, their hashes and codes made with them are compared in
// constant time, but at the places that are named above with a reason.
func TestX8_ComparisonsOfHashes(t *testing.T) {
	folders := []string{"conf", "cluster", "govern", "govern/admin", "internal/httpserve", "transport/httptransport", "server", "cmd/gdiamond"}
	rule := secretRule{secretValues, comparing}
	used := make(map[string]bool)
	for _, s := range load(t, folders...) {
		for _, found := range rule.comparisons(s) {
			assert.Contains(t, secretComparisons, found, "a comparison of a secret that is not in constant time")
			used[found] = true
		}
	}
	for found := range secretComparisons {
		assert.True(t, used[found], "%s is not there: it needs no exception", found)
	}
}

// TestSecretRules: the rule finds what it is for, in a package made for that.
func TestSecretRules(t *testing.T) {
	const folder = "internal/archtest/testdata/secrets"
	rule := secretRule{strings.Fields("secrets.held.Sum secrets.held.Hash secrets.hashOf secrets.find(hash)"), comparing}
	found := rule.comparisons(load(t, folder)[folder])
	slices.Sort(found)
	assert.Equal(t, []string{
		"secrets.array: ==", "secrets.byByte: !=", "secrets.compare: strings.Compare", "secrets.deep: reflect.DeepEqual", "secrets.equal: bytes.Equal",
		"secrets.find: map", "secrets.fold: strings.EqualFold", "secrets.held.is: ==", "secrets.inClosure: ==", "secrets.ordered: cmp.Compare",
		"secrets.prefix: strings.HasPrefix", "secrets.sliced: slices.Equal", "secrets.switched: switch", "secrets.whole: reflect.DeepEqual",
	}, found)
}

// secretRule finds comparisons of secrets.
type secretRule struct{ values, comparing []string }

// comparisons returns those of a package, as FUNCTION: COMPARISON.
func (r secretRule) comparisons(s *source) (all []string) {
	for _, f := range s.files {
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
				c := &secretScan{rule: r, source: s, local: make(map[types.Object]bool)}
				c.scan(fn)
				for _, what := range c.found {
					all = append(all, c.in+": "+what)
				}
			}
		}
	}
	return all
}

// secretScan looks through one function.
type secretScan struct {
	*source
	rule  secretRule
	in    string
	local map[types.Object]bool // the variables that hold a secret
	found []string
}

func (c *secretScan) scan(fn *ast.FuncDecl) {
	c.in = nameOfObject(c.info.Defs[fn.Name])
	for _, field := range fn.Type.Params.List {
		for _, name := range field.Names {
			if slices.Contains(c.rule.values, c.in+"("+name.Name+")") {
				c.local[c.info.Defs[name]] = true
			}
		}
	}
	for before := -1; before < len(c.local); { // until nothing is added
		before = len(c.local)
		ast.Inspect(fn.Body, c.flow)
	}
	ast.Inspect(fn.Body, c.look)
}

// flow marks the variables that get a secret.
func (c *secretScan) flow(n ast.Node) bool {
	mark := func(e ast.Expr, from ast.Expr) {
		if id, ok := e.(*ast.Ident); ok && from != nil && c.secret(from) {
			obj := c.info.Defs[id]
			if obj == nil {
				obj = c.info.Uses[id]
			}
			if obj != nil && holdsText(obj.Type()) {
				c.local[obj] = true
			}
		}
	}
	switch n := n.(type) {
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			mark(left, n.Rhs[min(i, len(n.Rhs)-1)])
		}
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if len(n.Values) > 0 {
				mark(name, n.Values[min(i, len(n.Values)-1)])
			}
		}
	case *ast.RangeStmt:
		if n.Value != nil {
			mark(n.Value, n.X)
		}
	}
	return true
}

// look records what compares a secret.
func (c *secretScan) look(n ast.Node) bool {
	add := func(what string) { c.found = append(c.found, what) }
	switch n := n.(type) {
	case *ast.BinaryExpr:
		switch n.Op {
		case token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
			if c.secret(n.X) && !c.constant(n.Y) || c.secret(n.Y) && !c.constant(n.X) {
				add(n.Op.String())
			}
		}
	case *ast.SwitchStmt:
		for _, clause := range n.Body.List {
			for _, e := range clause.(*ast.CaseClause).List {
				if n.Tag != nil && (c.secret(n.Tag) && !c.constant(e) || c.secret(e)) {
					add("switch")
				}
			}
		}
	case *ast.IndexExpr:
		if typ := c.info.TypeOf(n.X); typ != nil {
			if _, ok := typ.Underlying().(*types.Map); ok && c.secret(n.Index) {
				add("map")
			}
		}
	case *ast.CallExpr:
		name := c.called(n)
		if !slices.Contains(c.rule.comparing, name) {
			break
		}
		compared := slices.ContainsFunc(n.Args, func(e ast.Expr) bool { return c.secret(e) || c.holdsSecret(c.info.TypeOf(e), nil) })
		others := slices.ContainsFunc(n.Args, func(e ast.Expr) bool { return !c.secret(e) && c.constant(e) })
		if compared && !others {
			add(name)
		}
	}
	return true
}

// secret reports whether the value of e is a secret.
func (c *secretScan) secret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return c.local[c.info.Uses[e]]
	case *ast.SelectorExpr:
		if obj, ok := c.info.Uses[e.Sel].(*types.Var); ok && obj.IsField() {
			return slices.Contains(c.rule.values, nameOfType(c.info.TypeOf(e.X))+"."+e.Sel.Name)
		}
	case *ast.CallExpr:
		if slices.Contains(c.rule.values, c.called(e)) {
			return true
		}
		return c.text(e) && slices.ContainsFunc(e.Args, c.secret)
	case *ast.SliceExpr:
		return c.secret(e.X)
	case *ast.IndexExpr:
		return c.secret(e.X)
	case *ast.ParenExpr:
		return c.secret(e.X)
	case *ast.StarExpr:
		return c.secret(e.X)
	case *ast.UnaryExpr:
		return c.secret(e.X)
	case *ast.BinaryExpr:
		return e.Op == token.ADD && (c.secret(e.X) || c.secret(e.Y))
	}
	return false
}

// text reports whether one of the results of a call, or the result of a conversion, is a text
// or bytes.
func (c *secretScan) text(e *ast.CallExpr) bool {
	typ := c.info.TypeOf(e)
	if tuple, ok := typ.(*types.Tuple); ok {
		for v := range tuple.Variables() {
			if holdsText(v.Type()) {
				return true
			}
		}
		return false
	}
	return typ != nil && holdsText(typ)
}

// called returns the name of the function or method that e calls, or "".
func (c *secretScan) called(e *ast.CallExpr) string {
	fun := e.Fun
	for {
		switch f := fun.(type) {
		case *ast.ParenExpr:
			fun = f.X
			continue
		case *ast.IndexExpr:
			fun = f.X
			continue
		case *ast.Ident:
			return nameOfObject(c.info.Uses[f])
		case *ast.SelectorExpr:
			return nameOfObject(c.info.Uses[f.Sel])
		}
		return ""
	}
}

// constant reports whether e is known when it is compiled, so that comparing with it tells
// nothing that is not public.
func (c *secretScan) constant(e ast.Expr) bool {
	typ := c.info.Types[e]
	return typ.Value != nil || typ.IsNil()
}

// holdsSecret reports whether a value of a type has a field that is a secret.
func (c *secretScan) holdsSecret(typ types.Type, seen []types.Type) bool {
	if typ == nil || slices.Contains(seen, typ) {
		return false
	}
	seen = append(seen, typ)
	switch u := typ.Underlying().(type) {
	case *types.Pointer:
		return c.holdsSecret(u.Elem(), seen)
	case *types.Slice:
		return c.holdsSecret(u.Elem(), seen)
	case *types.Array:
		return c.holdsSecret(u.Elem(), seen)
	case *types.Struct:
		for f := range u.Fields() {
			if slices.Contains(c.rule.values, nameOfType(typ)+"."+f.Name()) || c.holdsSecret(f.Type(), seen) {
				return true
			}
		}
	}
	return false
}

// holdsText reports whether a value of a type is a text, bytes or one of them.
func holdsText(typ types.Type) bool {
	switch u := typ.Underlying().(type) {
	case *types.Basic:
		return u.Info()&types.IsString != 0 || u.Kind() == types.Uint8 || u.Kind() == types.Int32
	case *types.Slice:
		return holdsText(u.Elem())
	case *types.Array:
		return holdsText(u.Elem())
	}
	return false
}

// nameOfObject returns PACKAGE.FUNCTION or PACKAGE.TYPE.METHOD, or "" for what is neither.
func nameOfObject(obj types.Object) string {
	fn, ok := obj.(*types.Func)
	if !ok || fn.Pkg() == nil {
		return ""
	}
	if recv := fn.Signature().Recv(); recv != nil {
		return fmt.Sprint(nameOfType(recv.Type()), ".", fn.Name())
	}
	return fn.Pkg().Name() + "." + fn.Name()
}

// nameOfType returns PACKAGE.TYPE of a type or of what it points to, or "".
func nameOfType(typ types.Type) string {
	if p, ok := typ.(*types.Pointer); ok {
		typ = p.Elem()
	}
	named, ok := typ.(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return ""
	}
	return named.Obj().Pkg().Name() + "." + named.Obj().Name()
}
