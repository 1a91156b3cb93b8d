package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/govern"
)

// Tokens of before a restore are suspended until they are written again or confirmed, which not
// everybody who may list them may know.
func TestCensus_SuspendedTokens(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	secret := func(d time.Duration) govern.Secret { return govern.Secret{Expires: now.Add(d)} }
	for _, c := range []struct {
		token     govern.Token
		confirmed int64
		unsure    bool
		want      string
	}{
		{govern.Token{Generation: 7, Secrets: []govern.Secret{{}}}, 0, false, ""},
		{govern.Token{Generation: 6, Secrets: []govern.Secret{{}}}, 0, false, "suspended"},
		{govern.Token{Generation: 6, Secrets: []govern.Secret{{}}}, 6, false, "suspended"},
		{govern.Token{Generation: 6, Secrets: []govern.Secret{{}}}, 7, false, ""},
		{govern.Token{Generation: 6, Secrets: []govern.Secret{{}}}, 0, true, "suspended, unless confirmed"},
		{govern.Token{Generation: 7, Secrets: []govern.Secret{{}}}, 0, true, ""},
		{govern.Token{Generation: 6, Retired: true}, 0, false, "retired"},
		{govern.Token{Generation: 7}, 0, false, "no secret"},
		{govern.Token{Generation: 7, Secrets: []govern.Secret{secret(0)}}, 0, false, "expired"},
		{govern.Token{Generation: 7, Secrets: []govern.Secret{secret(1)}}, 0, false, "expires soon"},
		{govern.Token{Generation: 7, Secrets: []govern.Secret{secret(soon - 1)}}, 0, false, "expires soon"},
		{govern.Token{Generation: 7, Secrets: []govern.Secret{secret(soon)}}, 0, false, ""},
		{govern.Token{Generation: 7, Secrets: []govern.Secret{secret(1), secret(soon)}}, 0, false, ""},
		{govern.Token{Generation: 7, Secrets: []govern.Secret{secret(1), {}}}, 0, false, ""},
	} {
		census := census{now: now, generation: 7, confirmed: c.confirmed, unsure: c.unsure}
		assert.Equal(t, c.want, census.state(&c.token), "%+v", c)
	}
}
