package httptransport_test

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/clienttest"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// bearing keeps the Authorization headers of requests, and answers none.
type bearing struct{ headers []string }

func (b *bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	b.headers = append(b.headers, r.Header.Get("Authorization"))
	return nil, http.ErrServerClosed
}

func TestToken_GoesWithEveryRequest(t *testing.T) {
	to := &bearing{}
	tr := dial(t, "127.0.0.1", httptransport.WithHTTPClient(&http.Client{Transport: to}), httptransport.WithToken(canary))
	_, err := tr.Fetch(t.Context(), &conf.FetchRequest{Key: cannedKey})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "canary")
	_, _ = tr.Poll(t.Context(), &conf.PollRequest{Keys: []conf.Key{cannedKey}})
	_, _ = tr.Commit(t.Context(), &conf.CommitRequest{})
	assert.Equal(t, []string{"Bearer " + canary, "Bearer " + canary, "Bearer " + canary}, to.headers)

	for _, opts := range [][]httptransport.Option{
		{httptransport.WithToken("")}, {httptransport.WithToken(canary + "\n")}, {httptransport.WithToken(canary + " x")},
		{httptransport.WithToken(canary), httptransport.WithToken(canary)},
	} {
		_, err := httptransport.New("127.0.0.1", opts...)
		require.ErrorIs(t, err, conf.ErrInvalid)
		assert.NotContains(t, err.Error(), "canary")
	}
}

// A file may be replaced, damaged and repaired, and the transport has a token all the time.
func TestToken_FileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	synctest.Test(t, func(t *testing.T) {
		write := func(content string, mode os.FileMode) {
			require.NoError(t, os.WriteFile(path, []byte(content), mode))
			require.NoError(t, os.Chmod(path, mode))
			require.NoError(t, os.Chtimes(path, time.Now(), time.Now()))
		}
		var log clienttest.Logs
		to := &bearing{}
		opts := []httptransport.Option{
			httptransport.WithHTTPClient(&http.Client{Transport: to}), httptransport.WithTokenFile(path),
			httptransport.WithTokenLogger(slog.New(slog.NewTextHandler(&log, nil))),
		}
		for _, content := range []string{"", "\n", "two tokens"} {
			write(content, 0o600)
			_, err := httptransport.New("127.0.0.1", opts...)
			require.ErrorIs(t, err, conf.ErrInvalid, "%q", content)
		}
		write("gd_canary1\n", 0o600)
		tr := dial(t, "10.0.0.1", opts...)
		sent := func() string {
			_, err := tr.Fetch(t.Context(), &conf.FetchRequest{Key: cannedKey})
			require.NotContains(t, err.Error(), "canary")
			return to.headers[len(to.headers)-1]
		}
		assert.Equal(t, "Bearer gd_canary1", sent())
		assert.Contains(t, log.String(), "plain HTTP")
		assert.NotContains(t, log.String(), "every user")

		time.Sleep(time.Millisecond)
		write("gd_canary2\n", 0o644)
		assert.Equal(t, "Bearer gd_canary1", sent(), "it is not looked at within a second")
		time.Sleep(time.Second)
		assert.Equal(t, "Bearer gd_canary2", sent(), "of the same size, but later")
		assert.Contains(t, log.String(), "every user")
		write("two canary tokens", 0o600)
		time.Sleep(time.Second)
		assert.Equal(t, "Bearer gd_canary2", sent())
		assert.Contains(t, log.String(), "stays in use")
		later, err := httptransport.New("10.0.0.2", opts...)
		require.NoError(t, err, "a server that is found later")
		later.Close()
		require.NoError(t, os.Remove(path))
		time.Sleep(time.Second)
		assert.Equal(t, "Bearer gd_canary2", sent())
		write("gd_canary3", 0o600)
		time.Sleep(time.Second)
		assert.Equal(t, "Bearer gd_canary3", sent())
		write("gd_canary30", 0o600)
		require.NoError(t, os.Chtimes(path, time.Now(), time.Now().Add(-time.Second)))
		time.Sleep(time.Second)
		assert.Equal(t, "Bearer gd_canary30", sent(), "of the same time, but longer")
		assert.NotContains(t, log.String(), "canary")
	})
}

func TestToken_PlainHTTPOnThisMachineIsNotWorthAWarning(t *testing.T) {
	for addr, warned := range map[string]bool{
		"127.0.0.1": false, "http://[::1]:1210": false, "localhost": false, "https://a.test": false, "a.test": true, "10.0.0.1": true,
	} {
		var log clienttest.Logs
		dial(t, addr, httptransport.WithToken(canary), httptransport.WithTokenLogger(slog.New(slog.NewTextHandler(&log, nil))))
		assert.Equal(t, warned, log.String() != "", addr)
	}
	var log clienttest.Logs
	dialer := httptransport.Dialer(httptransport.WithToken(canary), httptransport.WithTokenLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for _, addr := range []string{"10.0.0.1", "10.0.0.2"} {
		tr, err := dialer(addr)
		require.NoError(t, err)
		defer tr.(*httptransport.Transport).Close()
	}
	assert.Equal(t, 1, strings.Count(log.String(), "plain HTTP"), "once for all servers")
}
