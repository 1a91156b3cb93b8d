package govern

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
)

func TestTokenSecret_NewOnesAreTakenAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := NewTokenSecret()
		require.NoError(t, CheckTokenSecret(s), s)
		require.Len(t, s, len(SecretPrefix)+43)
		require.False(t, seen[s])
		seen[s] = true
	}
	assert.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", HashTokenSecret("abc"))
}

func TestX4_WeakSecretsAreRefused(t *testing.T) {
	encoded := func(s string) string { return SecretPrefix + base64.RawURLEncoding.EncodeToString([]byte(s)) }
	random := NewTokenSecret()
	for name, c := range map[string]struct{ secret, says string }{
		"empty":                      {"", "is empty"},
		"only the prefix":            {"gd_", "too short"},
		"Nacos' key":                 {"SecretKey012345678901234567890123456789012345678901234567890123456789", "everybody knows"},
		"Nacos' key in base64":       {"VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg=", "everybody knows"},
		"Nacos' key in our form":     {encoded("ThisIsMyCustomSecretKey012345678"), "everybody knows"},
		"behind our prefix":          {"gd_VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg", "everybody knows"},
		"Nacos' first user":          {"nacos/nacos", "everybody knows"},
		"Apollo's first user":        {"apollo/admin", "everybody knows"},
		"without the prefix":         {random[3:], "does not begin with gd_"},
		"short":                      {random[:len(random)-4], "too short"},
		"long":                       {random + "AAAA", "too long"},
		"padded":                     {random + "=", "base64url"},
		"a second spelling":          {SecretPrefix + strings.Repeat("A", 42) + "B", "base64url"},
		"with a line's end":          {random + "\n", "too long"},
		"zeros":                      {encoded(strings.Repeat("\x00", 32)), "is not random"},
		"a few bytes over and over":  {encoded(strings.Repeat("\x01\x02\x03\xff", 8)), "is not random"},
		"a sentence of 32 letters":   {encoded("correct horse battery staple !!!"), "is a text"},
		"standard base64 with / + /": {SecretPrefix + strings.Repeat("+/", 21) + "A", "base64url"},
	} {
		err := CheckTokenSecret(c.secret)
		assert.ErrorIs(t, err, conf.ErrInvalid, name)
		if assert.ErrorContains(t, err, c.says, name) && len(c.secret) > 8 {
			assert.NotContains(t, err.Error(), c.secret, "an error is no place for a secret")
		}
		if c.secret != "" { // which stands for a new one
			_, err = SetUp(t.Context(), nil, SetUpOptions{Token: c.secret})
			assert.True(t, errors.Is(err, conf.ErrInvalid), name)
		}
	}
}
