package govern

import (
	"cmp"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// Level says how much a [Scope] covers.
type Level uint8

// The levels, the widest first. The zero Level is none of them.
const (
	LevelAll         Level = iota + 1 // everything
	LevelTenant                       // all namespaces of a tenant
	LevelEnvironment                  // the namespace of an environment of a tenant
	LevelNamespace                    // a namespace, or the groups of it that begin with a prefix
)

// Scope is what a right is about. Scopes are comparable. The zero Scope covers nothing.
type Scope struct {
	Level       Level
	Tenant      string // at LevelTenant and LevelEnvironment
	Environment string // at LevelEnvironment
	Namespace   string // at LevelNamespace
	GroupPrefix string // of the groups, or "" for the whole namespace; only at LevelNamespace
}

// AllScope covers everything, also what belongs to no tenant.
func AllScope() Scope { return Scope{Level: LevelAll} }

// TenantScope covers a tenant and all its namespaces.
func TenantScope(tenant string) Scope { return Scope{Level: LevelTenant, Tenant: tenant} }

// EnvironmentScope covers the namespace in one environment of a tenant.
func EnvironmentScope(tenant, environment string) Scope {
	return Scope{Level: LevelEnvironment, Tenant: tenant, Environment: environment}
}

// NamespaceScope covers a namespace.
func NamespaceScope(id string) Scope { return Scope{Level: LevelNamespace, Namespace: id} }

// ParseScope reads "all", "tenant:T", "environment:T:E", "namespace:ID" or
// "namespace:ID/GROUPPREFIX". Errors wrap [conf.ErrInvalid].
func ParseScope(s string) (Scope, error) {
	level, rest, _ := strings.Cut(s, ":")
	var scope Scope
	switch level {
	case "all":
		scope = AllScope()
	case "tenant":
		scope = TenantScope(rest)
	case "environment":
		tenant, environment, _ := strings.Cut(rest, ":")
		scope = EnvironmentScope(tenant, environment)
	case "namespace":
		id, prefix, _ := strings.Cut(rest, "/")
		scope = NamespaceScope(id)
		scope.GroupPrefix = prefix
	}
	if scope.String() != s { // also "all:" and "namespace:ID/", which mean nothing else
		return Scope{}, conf.Invalidf("scope: %s is none of all, tenant:T, environment:T:E, namespace:ID and namespace:ID/GROUPPREFIX", conf.Clip(s))
	}
	if err := scope.Validate(); err != nil {
		return Scope{}, err
	}
	return scope, nil
}

// Validate checks the names in s. Errors wrap [conf.ErrInvalid].
func (s Scope) Validate() error {
	var p problems
	switch s.Level {
	case LevelAll:
	case LevelTenant:
		p.text("scope: tenant", tenantProblem(s.Tenant))
	case LevelEnvironment:
		p.text("scope: tenant", tenantProblem(s.Tenant))
		p.text("scope: environment", tenantProblem(s.Environment))
	case LevelNamespace:
		p.text("scope: namespace", namespaceProblem(s.Namespace))
		p.text("scope: group prefix", prefixProblem(s.GroupPrefix))
	default:
		p.add("scope: is none of all, tenant, environment and namespace")
	}
	return p.err("")
}

// String returns the form that [ParseScope] reads, or "" for the zero Scope.
func (s Scope) String() string {
	switch s.Level {
	case LevelAll:
		return "all"
	case LevelTenant:
		return "tenant:" + s.Tenant
	case LevelEnvironment:
		return "environment:" + s.Tenant + ":" + s.Environment
	case LevelNamespace:
		if s.GroupPrefix != "" {
			return "namespace:" + s.Namespace + "/" + s.GroupPrefix
		}
		return "namespace:" + s.Namespace
	}
	return ""
}

// Compare orders scopes by level, the widest first, then by their names.
func (s Scope) Compare(o Scope) int {
	return cmp.Or(cmp.Compare(s.Level, o.Level), strings.Compare(s.String(), o.String()))
}
