package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// connection is how a client command reaches a server: its flags.
type connection struct {
	given     *pflag.FlagSet // all flags of the command
	servers   []string
	namesrvs  []string
	namespace string
	timeout   time.Duration
	output    format

	lists *staleness // of the client that was made last
}

func (c *connection) flags(cmd *cobra.Command) {
	c.output = formatTable
	f := cmd.Flags()
	c.given = f
	listVar(f, &c.servers, "server", checkAddress, "addresses of servers, `HOST:PORT[,...]` (default "+server.DefaultAddress+")")
	listVar(f, &c.namesrvs, "namesrv", checkNameServer, "find the servers through these name servers, `URL[,...]`")
	f.StringVarP(&c.namespace, "namespace", "n", diamond.DefaultNamespace, "namespace of the keys")
	f.DurationVar(&c.timeout, "timeout", 5*time.Second, "how long a command may take; it tries again meanwhile where no server answers")
	f.VarP(&c.output, "output", "o", "table, json or yaml")
}

// client returns a client, and a context that ends with the timeout. Call done
// when both are no longer needed.
func (c *connection) client(ctx context.Context, opts ...diamond.ClientOption) (timed context.Context, client diamond.Client, done func(), err error) {
	wire, hangUp, err := c.dial()
	if err != nil {
		return nil, nil, nil, err
	}
	c.lists = &staleness{Transport: wire}
	client, err = diamond.NewClient(c.lists, append(opts, diamond.WithClientInfo(diamond.ClientInfo{App: "gdiamond"}))...)
	if err != nil {
		hangUp()
		return nil, nil, nil, err
	}
	timed, cancel := context.WithTimeout(ctx, c.timeout)
	return timed, client, func() { cancel(); client.Close(); hangUp() }, nil
}

// key reads a KEY argument: dataId or group/dataId in the namespace of the
// flag, or namespace/group/dataId.
func (c *connection) key(s string) (diamond.Key, error) {
	key, err := diamond.ParseKey(s)
	if err != nil {
		return key, usageError{err}
	}
	if strings.Count(s, "/") < 2 {
		key.Namespace = c.namespace
	} else if err := c.agrees("namespace", c.namespace, key.Namespace); err != nil {
		return key, err
	}
	return key, checkKey(key)
}

// agrees refuses a flag of the command line that says something else than the KEY
// beside it. An empty value says nothing.
func (c *connection) agrees(flag, value, inKey string) error {
	if typed(c.given, flag) && value != "" && value != inKey {
		return usageError{fmt.Errorf("%s: --%s says %q, and the KEY says %q; give one of them", flag, flag, value, inKey)}
	}
	return nil
}

// checkKey refuses what every server would.
func checkKey(key diamond.Key) error {
	err := key.Validate()
	if err == nil && key.System() {
		err = diamond.Errorf(diamond.ErrInvalid, `namespace: %q is the system's, as all that begin with "_" are`, key.Namespace)
	}
	if err != nil {
		return usageError{err}
	}
	return nil
}

// filter checks what a command lists by, before a server is asked.
func (c *connection) filter(group, prefix string) error {
	key := diamond.Key{Namespace: c.namespace, Group: group, DataID: "x"}
	if strings.Trim(prefix, ".") != "" { // "." and ".." are no names, but such names begin with them
		key.DataID = prefix
	}
	return checkKey(key)
}

// dial returns the transport to the servers that the flags name. Call hangUp
// when it is no longer needed.
func (c *connection) dial() (wire diamond.Transport, hangUp func(), err error) {
	if c.timeout <= 0 {
		return nil, nil, usageError{diamond.Errorf(diamond.ErrInvalid, "timeout: %s is not positive", c.timeout)}
	}
	var resolver transport.Resolver
	switch {
	case len(c.servers) > 0 && len(c.namesrvs) > 0:
		return nil, nil, usageError{errBothWays}
	case len(c.namesrvs) > 0:
		if resolver, err = namesrv.NewClient(c.namesrvs); err != nil {
			return nil, nil, usageError{err}
		}
	case len(c.servers) > 0:
		resolver = transport.Static(c.servers...)
	default:
		resolver = transport.Static(server.DefaultAddress)
	}
	balancer := transport.Balance(resolver, c.dialServer)
	return balancer, balancer.Close, nil
}

// dialServer returns the transport to one server. One that is alone has all the
// time that there is: nobody else can be asked instead.
func (c *connection) dialServer(addr string) (diamond.Transport, error) {
	if len(c.servers) > 1 || len(c.namesrvs) > 0 {
		return httptransport.Dial(addr)
	}
	return httptransport.New(addr, httptransport.WithTimeout(max(c.timeout, leastSilence))), nil
}

// leastSilence is for how long any server may be silent.
const leastSilence = 5 * time.Second

// checkAddress finds what cannot be the address of a server before it is tried.
func checkAddress(addr string) error {
	if !strings.Contains(addr, "://") {
		_, _, err := net.SplitHostPort(addr)
		return err
	}
	u, err := url.Parse(addr)
	if err == nil && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		err = fmt.Errorf("%q is neither HOST:PORT nor an http URL", addr)
	}
	return err
}

// checkNameServer finds what cannot be the URL of a name server.
func checkNameServer(url string) error {
	_, err := namesrv.NewClient([]string{url})
	return err
}

var errBothWays = errors.New("--server and --namesrv are two ways to find a server; give one")
