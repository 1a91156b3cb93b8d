package follower_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/servertest"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// NewClient refuses a ClientInfo that servers would refuse.
func TestNewClient_ChecksItsClientInfo(t *testing.T) {
	labels := func(n, bytes int) map[string]string {
		m := make(map[string]string)
		for i := range n {
			m[fmt.Sprintf("label%d", i)] = strings.Repeat("x", bytes)
		}
		return m
	}
	for name, c := range map[string]struct {
		info conf.ClientInfo
		says string // "": it is right
	}{
		"nothing":     {conf.ClientInfo{}, ""},
		"most":        {conf.ClientInfo{ID: strings.Repeat("i", 256), App: strings.Repeat("a", 128), Version: "é", Labels: labels(48, 50)}, ""},
		"id":          {conf.ClientInfo{ID: strings.Repeat("i", 257)}, "257"},
		"app":         {conf.ClientInfo{App: strings.Repeat("a", 129)}, "app"},
		"version":     {conf.ClientInfo{Version: "1\n2"}, "version"},
		"80 labels":   {conf.ClientInfo{Labels: labels(80, 1)}, "48"},
		"label name":  {conf.ClientInfo{Labels: map[string]string{strings.Repeat("n", 65): ""}}, "65"},
		"label value": {conf.ClientInfo{Labels: map[string]string{"n": "\xff"}}, "UTF-8"},
		"all":         {conf.ClientInfo{Labels: labels(20, 256)}, "4096"},
	} {
		client, err := diamond.NewClient(servertest.Serve(t, memstore.New()), diamond.WithClientInfo(c.info))
		if c.says == "" {
			require.NoError(t, err, name)
			require.NoError(t, client.Close())
			continue
		}
		require.ErrorIs(t, err, conf.ErrInvalid, name)
		assert.ErrorContains(t, err, c.says, name)
	}
}
