package govern

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// SecretPrefix begins every secret of a token, so that programs that look for secrets in
// files and logs find it.
const SecretPrefix = "gd_"

const (
	secretBytes = 32 // random bytes of a secret
	// leastDistinct is the least number of different bytes in a secret. Of 32 random bytes
	// fewer are different once in 10^18 secrets.
	leastDistinct = 16
)

// published are secrets that stand in the manuals and default configurations of
// configuration centres, so that everybody knows them. Most of them are no secrets of this
// library at all. They are listed so that the error says why.
var published = []string{
	"SecretKey012345678901234567890123456789012345678901234567890123456789",
	"VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg=",
	"VGhpc0lzTXlDdXN0b21TZWNyZXRLZXkwMTIzNDU2Nzg",
	"ThisIsMyCustomSecretKey012345678",
	"nacos", "nacos/nacos", "nacos:nacos", "apollo", "admin", "apollo/admin", "apollo:admin",
	"serverIdentity", "security", "example", "secret", "password", "changeme", "token",
}

// NewTokenSecret returns a new secret for a token: [SecretPrefix] and 32 random bytes in
// base64url without padding. A token's document has only its hash; see [HashTokenSecret].
func NewTokenSecret() string {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:]) // it never fails
	return SecretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// CheckTokenSecret refuses what is no secret of a token, and what somebody could guess.
// Errors wrap [conf.ErrInvalid] and do not quote s.
func CheckTokenSecret(s string) error {
	const form = "a token is " + SecretPrefix + " and 32 random bytes in base64url, 43 characters; `gdiamond token secret` prints one"
	body, prefixed := strings.CutPrefix(s, SecretPrefix)
	switch raw, err := base64.RawURLEncoding.Strict().DecodeString(body); {
	case s == "":
		return conf.Invalidf("token: is empty; %s", form)
	case isPublished(s), isPublished(body), isPublished(string(raw)):
		return conf.Invalidf("token: is the default of some product, so that everybody knows it; %s", form)
	case !prefixed:
		return conf.Invalidf("token: does not begin with %s; %s", SecretPrefix, form)
	case err != nil || len(raw) != secretBytes || base64.RawURLEncoding.EncodedLen(len(raw)) != len(body): // the decoder skips ends of lines
		return conf.Invalidf("token: is too short, too long or not base64url behind %s; %s", SecretPrefix, form)
	case isText(raw):
		return conf.Invalidf("token: is a text in base64url, not random bytes; %s", form)
	case distinct(raw) < leastDistinct:
		return conf.Invalidf("token: repeats a few bytes, and is not random; %s", form)
	}
	return nil
}

// HashTokenSecret returns the SHA-256 of a secret as a token's document has it.
func HashTokenSecret(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func isPublished(s string) bool {
	return slices.ContainsFunc(published, func(p string) bool { return strings.EqualFold(p, s) })
}

// isText reports whether all bytes are printable ASCII, as of 32 random bytes they are once
// in 10^13 secrets.
func isText(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c < 0x20 || c > 0x7e })
}

func distinct(b []byte) int {
	sorted := bytes.Clone(b)
	slices.Sort(sorted)
	return len(slices.Compact(sorted))
}
