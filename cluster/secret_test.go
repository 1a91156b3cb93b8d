package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/linnaname/gdiamond/conf"
)

// Secrets of these tests.
const (
	first  = "Wm4vQ0hYc2tP-first"
	second = "Wm4vQ0hYc2tP-second"
)

func secret(t *testing.T, used string, accepted ...string) Secret {
	t.Helper()
	s, err := NewSecret(used, accepted...)
	require.NoError(t, err)
	return s
}

func TestX4_WeakSecretsAreRefused(t *testing.T) {
	for text, why := range map[string]string{
		"":                                     "shorter than 16",
		"Wm4vQ0hYc2tPfif":                      "shorter than 16",
		strings.Repeat("ab", 9):                "different bytes",
		strings.Repeat("Wm4vQ0hYc2tPfifz", 65): "longer than 1024",
		"0123456789abcdef":                     "everybody knows",
		"0123456789-ABCDEF":                    "everybody knows",
		"change-me-change-me":                  "everybody knows",
		"your cluster secret":                  "everybody knows",
		"SecretKey012345678901234567890123456789012345678901234567890123456789": "everybody knows",
		"VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg=":                          "everybody knows",
	} {
		_, err := NewSecret(text)
		require.ErrorIs(t, err, conf.ErrInvalid, text)
		require.ErrorContains(t, err, why)
		_, err = NewSecret(first, text)
		require.ErrorIs(t, err, conf.ErrInvalid, "nor is it accepted beside a good one")
		if len(text) > 0 {
			require.NotContains(t, err.Error(), text)
		}
	}
	_, err := NewSecret(first, strings.Split(strings.Repeat(","+second, MaxSecrets)[1:], ",")...)
	require.ErrorIs(t, err, conf.ErrInvalid)
	for text := range published {
		require.Equal(t, text, plain(text), "the table is in plain form")
		require.GreaterOrEqual(t, len(text), MinSecret-2, "shorter ones are refused anyway")
	}
	assert.True(t, Secret{}.IsZero())
	assert.False(t, secret(t, "sixteen bytes ok").IsZero())
}

// However it is shown, a secret shows nothing.
func TestX9_SecretsAreNotShown(t *testing.T) {
	s := secret(t, first, second)
	type inside struct {
		Secret Secret
		hidden Secret
		at     *Secret
		any    any
	}
	in := inside{s, s, &s, s}
	var shown bytes.Buffer
	for _, v := range []any{s, &s, in, &in, []Secret{s}, map[string]Secret{"s": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
		body, err := json.Marshal(v)
		require.NoError(t, err)
		shown.Write(body)
		body, err = yaml.Marshal(v)
		require.NoError(t, err)
		shown.Write(body)
		for _, handler := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
			slog.New(handler).Info("x", "secret", v)
		}
	}
	fmt.Fprint(&shown, NewVerifier(s), *NewVerifier(s), assert.ObjectsAreEqual(in, in))
	fake := new(recorder)
	assert.Equal(fake, in, 1) // as tests print what they found
	shown.WriteString(fake.String())
	require.NotEmpty(t, fake.String())

	for _, text := range []string{first, second} {
		for _, form := range []string{"%s", "%x", "%X", "%d", "%v"} {
			assert.NotContains(t, shown.String(), strings.Trim(fmt.Sprintf(form, []byte(text)), "[]"))
		}
	}
	assert.Contains(t, shown.String(), hidden)
	assert.Equal(t, "[none]", fmt.Sprint(Secret{}))
}

type recorder struct{ bytes.Buffer }

func (r *recorder) Errorf(format string, args ...any) { fmt.Fprintf(r, format, args...) }

func TestReadSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write := func(body string, mode os.FileMode) {
		require.NoError(t, os.WriteFile(path, []byte(body), 0o600))
		require.NoError(t, os.Chmod(path, mode))
	}
	_, err := ReadSecret(path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	for body, n := range map[string]int{
		first: 1, first + "\n": 1, first + "\r\n": 1, "\n" + first + "\n\n" + second: 2, first + "\r\n" + second + "\r\n": 2,
	} {
		write(body, 0o640)
		s, err := ReadSecret(path)
		require.NoError(t, err, "%q", body)
		require.Len(t, s.summers, n)
		require.True(t, s.summers[0]("x").equal(newSummer(first)("x")))
		require.True(t, s.summers[n-1]("x").equal(newSummer([]string{first, second}[n-1])("x")))
	}
	for body, why := range map[string]string{
		"": "empty", "\n\r\n": "empty", "short\n": "shorter", first + "\nshort\n": "secret 2",
		strings.Repeat(first+"\n", MaxSecrets+1): "more than 8", strings.Repeat("\n", 10_000): "more than",
	} {
		write(body, 0o600)
		_, err := ReadSecret(path)
		require.ErrorIs(t, err, conf.ErrInvalid)
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), first)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for _, mode := range []os.FileMode{0o644, 0o604, 0o602, 0o601, 0o666} {
		write(first, mode)
		_, err := ReadSecret(path)
		require.ErrorIs(t, err, conf.ErrInvalid)
		require.ErrorContains(t, err, "chmod 600")
	}
}
