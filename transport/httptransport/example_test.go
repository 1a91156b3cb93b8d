package httptransport_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/storage/memstore"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// A client that chooses among servers, each of which may be silent for 10 s. Package dial
// does this and more in one call.
func ExampleDialer() {
	srv, err := diamond.NewServer(memstore.New())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	web := httptest.NewServer(httptransport.NewHandler(srv))
	defer web.Close()

	dial := httptransport.Dialer(httptransport.WithTimeout(10 * time.Second))
	balancer := transport.NewBalancer(transport.Static(web.URL, "127.0.0.1:1"), dial)
	defer balancer.Close()
	client, err := diamond.NewClient(balancer)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	receipt, err := client.Publish(context.Background(), diamond.Draft{Key: diamond.NewKey("payment", "limits"), Content: "100"})
	fmt.Println(receipt.Revision, err)
	// Output: 1 <nil>
}
