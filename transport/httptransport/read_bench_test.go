package httptransport_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/linnaname/gdiamond/internal/budget"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// BenchmarkRead measures a read of 1 KiB over connections that are kept, from several
// clients at once, and how much of it is that requests are counted by address.
func BenchmarkRead(b *testing.B) {
	p := newParking(b)
	set := `{"op":"publish","key":"app.yaml","length":1024}` + "\n" + strings.Repeat("x", 1024) + "\n"
	if w := protocoltest.Ask(p.h, http.MethodPost, "/v1/changesets", set); w.Code != http.StatusOK {
		b.Fatal(w.Body)
	}
	b.Run("over HTTP", func(b *testing.B) {
		hs := httptest.NewServer(p.h)
		defer hs.Close()
		network := &http.Transport{MaxIdleConnsPerHost: 64}
		defer network.CloseIdleConnections()
		client := &http.Client{Transport: network}
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				res, err := client.Get(hs.URL + one)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
	})
	b.Run("counting", func(b *testing.B) {
		requests := budget.New(200_000, 10_000)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				source := budget.Source("127.0.0.1:12345")
				if requests.Take(source, 1) {
					requests.Give(source, 1)
				}
			}
		})
	})
}
