package main

import (
	"errors"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Members are trimmed, and each is checked; giving the flag again adds to it, and
// the first takes the place of the default.
func TestList(t *testing.T) {
	members := []string{"default"}
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	listVar(f, &members, "server", func(m string) error {
		if m == "bad" {
			return errors.New("is bad")
		}
		return nil
	}, "")
	require.NoError(t, f.Parse([]string{"--server", "a:1, b:2 ", "--server", "\tc:3"}))
	assert.Equal(t, []string{"a:1", "b:2", "c:3"}, members)

	value := f.Lookup("server").Value.(pflag.SliceValue)
	require.NoError(t, value.Replace([]string{"d:4", "e:5, f:6"}))
	assert.Equal(t, []string{"d:4", "e:5", "f:6"}, value.GetSlice())

	for _, wrong := range []string{"", " ", "a,", ",a", "a,,b", "a, bad"} {
		assert.Error(t, f.Set("server", wrong), wrong)
	}
	assert.Equal(t, []string{"d:4", "e:5", "f:6"}, members, "what is refused changes nothing")
}
