package dial_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"net/url"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/dial"
)

// byName finds servers by a name in DNS that has the addresses of all of them.
type byName struct{ name, port string }

// Resolve implements transport.Resolver.
func (n byName) Resolve(ctx context.Context) (addrs []string, err error) {
	ips, err := net.DefaultResolver.LookupHost(ctx, n.name)
	for _, ip := range ips {
		addrs = append(addrs, net.JoinHostPort(ip, n.port)) // with brackets around IPv6
	}
	return addrs, err
}

// Servers that are found by their name in DNS.
func ExampleResolver() {
	handler, closeServer := newCentre()
	defer closeServer()
	centre := httptest.NewServer(handler)
	defer centre.Close()
	port := must(url.Parse(centre.URL)).Port() // by default servers have port 1210

	client := must(dial.Resolver(byName{"localhost", port}))
	defer client.Close()
	config := must(client.Get(context.Background(), diamond.NewKey("payment", "limits.yaml")))
	fmt.Println(config.Content)
	// Output: rate_limit: 100
}
