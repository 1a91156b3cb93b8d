package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// list is the value of a flag with several members. They are separated by commas, with
// or without spaces, or given by repeating the flag. Each is checked when it is set.
type list struct {
	members *[]string
	check   func(member string) error // or nil
	given   bool                      // set already; the first members replace the default
}

// listVar declares a flag with several members.
func listVar(f *pflag.FlagSet, members *[]string, name string, check func(string) error, usage string) {
	f.Var(&list{members: members, check: check}, name, usage)
}

func (l *list) String() string { return strings.Join(*l.members, ",") }
func (l *list) Type() string   { return "list" }

// Set implements [pflag.Value].
func (l *list) Set(s string) error {
	members, err := l.split(s)
	if err != nil {
		return err
	}
	if !l.given {
		*l.members, l.given = nil, true
	}
	*l.members = append(*l.members, members...)
	return nil
}

func (l *list) split(s string) ([]string, error) {
	members := strings.Split(s, ",")
	for i, m := range members {
		m = strings.TrimSpace(m)
		if m == "" {
			return nil, errors.New("a member of the list is empty")
		}
		if l.check != nil {
			if err := l.check(m); err != nil {
				return nil, fmt.Errorf("%q: %w", m, err)
			}
		}
		members[i] = m
	}
	return members, nil
}

// Append implements [pflag.SliceValue].
func (l *list) Append(s string) error { return l.Set(s) }

// Replace implements [pflag.SliceValue].
func (l *list) Replace(values []string) error {
	l.given = false
	for _, v := range values {
		if err := l.Set(v); err != nil {
			return err
		}
	}
	return nil
}

// GetSlice implements [pflag.SliceValue].
func (l *list) GetSlice() []string { return *l.members }
