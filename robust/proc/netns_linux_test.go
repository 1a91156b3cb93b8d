package proc

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/internal/campaign"
	"github.com/linnaname/gdiamond/robust/cluster"
	"github.com/linnaname/gdiamond/robust/traffic"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// network is this host, a router, and a host behind that, each with a network
// stack of its own: what goes one way between the two can be dropped.
type network struct {
	t            *testing.T
	router, host string // namespaces
	here, there  string // addresses
}

// newNetwork makes one. It takes root.
func newNetwork(t *testing.T) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	id := fmt.Sprint(os.Getpid())
	// Two networks of two addresses each, of those that are for tests (RFC 2544),
	// which no other run has.
	base := netip.MustParseAddr("198.18.0.0").As4()
	first := binary.BigEndian.Uint32(base[:]) + uint32(os.Getpid())%(1<<14)*8
	addr := func(number uint32) string {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, first+number))).String()
	}
	n := &network{t: t, router: "gdr" + id, host: "gdh" + id, here: addr(1), there: addr(6)}
	if out, err := exec.CommandContext(t.Context(), "ip", "netns", "add", n.router).CombinedOutput(); err != nil {
		t.Skipf("network namespaces cannot be made here: %s", out)
	}
	t.Cleanup(func() { n.clean("netns", "del", n.router) })
	n.ip("netns", "add", n.host)
	t.Cleanup(func() { n.clean("netns", "del", n.host) })
	n.ip("link", "add", "gda"+id, "type", "veth", "peer", "name", "gdb"+id, "netns", n.router)
	t.Cleanup(func() { n.clean("link", "del", "gda"+id) })
	n.ip("-n", n.router, "link", "add", "gdc"+id, "type", "veth", "peer", "name", "gdd"+id, "netns", n.host)
	n.ip("addr", "add", n.here+"/30", "dev", "gda"+id)
	n.ip("link", "set", "gda"+id, "up")
	n.ip("-n", n.router, "addr", "add", addr(2)+"/30", "dev", "gdb"+id)
	n.ip("-n", n.router, "addr", "add", addr(5)+"/30", "dev", "gdc"+id)
	n.ip("-n", n.host, "addr", "add", n.there+"/30", "dev", "gdd"+id)
	for ns, links := range map[string][]string{n.router: {"lo", "gdb" + id, "gdc" + id}, n.host: {"lo", "gdd" + id}} {
		for _, link := range links {
			n.ip("-n", ns, "link", "set", link, "up")
		}
	}
	n.ip("route", "add", addr(4)+"/30", "via", addr(2))
	n.ip("-n", n.host, "route", "add", "default", "via", addr(5))
	out, err := exec.CommandContext(t.Context(), "ip", "netns", "exec", n.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").CombinedOutput()
	if err != nil {
		t.Skipf("nothing can be forwarded here: %s", out)
	}
	return n
}

func (n *network) ip(args ...string) {
	n.t.Helper()
	out, err := exec.CommandContext(n.t.Context(), "ip", args...).CombinedOutput()
	require.NoError(n.t, err, "ip %s: %s", strings.Join(args, " "), out)
}

// clean is ip after the test.
func (n *network) clean(args ...string) {
	if out, err := exec.CommandContext(context.Background(), "ip", args...).CombinedOutput(); err != nil {
		n.t.Logf("ip %s: %s", strings.Join(args, " "), out)
	}
}

// exec returns cmd with more arguments, to run on the host behind the router.
func (n *network) exec(cmd *exec.Cmd, more ...string) *exec.Cmd {
	args := append([]string{"netns", "exec", n.host}, cmd.Args...)
	return exec.Command("ip", append(args, more...)...)
}

// drop has the router drop all that goes to an address; undo ends that.
func (n *network) drop(addr string) (undo func()) {
	n.ip("-n", n.router, "route", "add", "blackhole", addr+"/32")
	return func() { n.ip("-n", n.router, "route", "del", "blackhole", addr+"/32") }
}

// N4 and N6: packets to a server, from it, or both ways are dropped while a
// poll is parked there, and nobody is told. The client goes to another server
// and misses nothing; the server lets go of the dead poll.
func TestN4_N6_PartitionsOfPackets(t *testing.T) {
	t.Parallel() // it waits, most of the time
	n := newNetwork(t)
	w := world(t, 0)
	far := n.there + ":1210"
	// The far server's way to the database begins at this host's address there.
	ln, err := net.Listen("tcp", n.here+":0")
	require.NoError(t, err)
	database := w.Database.Listen(ln)
	data := filepath.Join(t.TempDir(), "far")
	p := &cluster.Process{Address: far, Command: func(addr string) *exec.Cmd {
		return n.exec(w.command(addr, database, data), "--insecure")
	}}
	require.NoError(t, p.Start())
	t.Cleanup(func() { assert.NoError(t, p.Stop()) })

	cases := []struct {
		name string
		drop []string
	}{{"to", []string{n.there}}, {"from", []string{n.here}}, {"both", []string{n.here, n.there}}}
	if !campaign.On() {
		i := rand.IntN(len(cases))
		cases = cases[i : i+1] // each takes as long as a connection is believed in
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			publish := func(content string) { w.commit(t, 0, set(c.name+"-"+content, content+" "+c.name)) }
			publish("first")
			// The client begins at the far server, and knows of another one by the time it needs it.
			var list resolver
			list.set(far)
			balancer := transport.NewBalancer(&list, httptransport.Dialer())
			t.Cleanup(balancer.Close)
			l := follow(t, balancer, traffic.Key(0))
			l.await(t, "first "+c.name)
			w.await(t, func() bool { return metric(t, far, waiters) == 1 })
			list.set(far, w.Members[0].Addr())
			var undo []func()
			for _, addr := range c.drop {
				undo = append(undo, n.drop(addr))
			}
			began := time.Now()
			publish("second")
			l.await(t, "second "+c.name)
			t.Logf("it had the value after %v", time.Since(began).Round(time.Millisecond))
			for _, u := range undo {
				u()
			}
			publish("third")
			l.await(t, "third "+c.name)
			w.await(t, func() bool { return metric(t, far, waiters) == 0 })
		})
	}
}

// waiters is how many polls are parked at a server.
const waiters = "diamond_longpoll_waiters"

// resolver is a list of servers that can change.
type resolver struct{ addrs atomic.Pointer[[]string] }

func (r *resolver) set(addrs ...string) { r.addrs.Store(&addrs) }

func (r *resolver) Resolve(context.Context) ([]string, error) { return *r.addrs.Load(), nil }
