package redact_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/internal/redact"
)

func TestTokens(t *testing.T) {
	for range 100 {
		secret := govern.NewTokenSecret()
		assert.Equal(t, "/v1/configs/a/gd_***/k?gd_***", redact.Tokens("/v1/configs/a/"+secret+"/k?"+secret))
		assert.Equal(t, "gd_***", redact.Tokens(secret[:len(secret)-10]), "a part of one")
	}
	for _, s := range []string{"", "gd_", "/v1/configs/public/gd_settings/gd_timeouts", "gd_ 0123456789012345678901234567890123456789012"} {
		assert.Equal(t, s, redact.Tokens(s))
	}
}
