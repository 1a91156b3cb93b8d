package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/namesrv"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/tlsfile"
	"github.com/linnaname/gdiamond/transport"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// connection has the flags of a client command for reaching a server.
type connection struct {
	given     *pflag.FlagSet // all flags of the command
	stderr    func() io.Writer
	servers   []string
	namesrvs  []string
	namespace string
	identity  identity
	tls       tlsfile.Files
	timeout   time.Duration
	output    format

	as        *proof                 // who asks, if the flags do not say it
	lists     *staleness             // of the client that was created last
	anonymous bool                   // no token is sent
	proves    []httptransport.Option // with the token, once a connection was made
}

func (c *connection) flags(cmd *cobra.Command) {
	c.common(cmd)
	cmd.Flags().StringVarP(&c.namespace, "namespace", "n", diamond.DefaultNamespace, "namespace of the keys")
}

// common declares the flags of commands that are about no keys.
func (c *connection) common(cmd *cobra.Command) {
	c.output = formatTable
	f := cmd.Flags()
	c.given, c.stderr = f, cmd.ErrOrStderr
	serverFlags(f, &c.servers, &c.namesrvs)
	c.identity.flags(cmd)
	tlsFlags(f, &c.tls)
	f.DurationVar(&c.timeout, "timeout", defaultTimeout, "time limit of the command, within which it retries while no server answers")
	f.VarP(&c.output, "output", "o", "table, json or yaml")
}

// defaultTimeout is the time limit of a client command.
const defaultTimeout = 5 * time.Second

// serverFlags declares the flags that name servers.
func serverFlags(f *pflag.FlagSet, servers, namesrvs *[]string) {
	listVar(f, servers, "server", checkServer, "`HOST[:PORT][,...]` of servers (default "+server.DefaultAddress+")")
	listVar(f, namesrvs, "namesrv", checkNameServer, "`URL[,...]` of name servers that know the servers")
}

// takesAllNamespaces says in the help that the flag for the namespace takes all of them.
func (c *connection) takesAllNamespaces() {
	c.given.Lookup("namespace").Usage = "namespace of the keys, or '" + diamond.AllNamespaces + "' for all"
}

// client returns a client, and a context that ends with the timeout. The caller must
// call done when it no longer needs them.
func (c *connection) client(ctx context.Context, opts ...diamond.ClientOption) (timed context.Context, client diamond.Client, done func(), err error) {
	wire, hangUp, err := c.dial()
	if err != nil {
		return nil, nil, nil, err
	}
	c.lists = &staleness{Transport: signing{wire}}
	client, err = diamond.NewClient(c.lists, append(opts, diamond.WithClientInfo(diamond.ClientInfo{App: "gdiamond"}))...)
	if err != nil {
		hangUp()
		return nil, nil, nil, err
	}
	timed, cancel := context.WithTimeout(ctx, c.timeout)
	return timed, client, func() { cancel(); client.Close(); hangUp() }, nil
}

// key parses a KEY argument, which must not be that of a document: dataId or group/dataId in
// the namespace of the flag, or namespace/group/dataId.
func (c *connection) key(s string) (diamond.Key, error) {
	key, err := c.anyKey(s)
	if err == nil && key.System() {
		err = errReserved(key.Namespace)
	}
	return key, err
}

// anyKey is key for commands that take documents too.
func (c *connection) anyKey(s string) (diamond.Key, error) {
	key, err := diamond.ParseKey(s)
	if err != nil {
		return key, usageError{err}
	}
	if strings.Count(s, "/") < 2 {
		if err := c.oneNamespace(); err != nil {
			return key, err
		}
		key.Namespace = c.namespace
	} else if err := c.agrees("namespace", c.namespace, key.Namespace); err != nil {
		return key, err
	}
	return key, checkKey(key)
}

// agrees refuses a flag of the command line whose value, unless empty, differs from
// the KEY argument.
func (c *connection) agrees(flag, value, inKey string) error {
	if typed(c.given, flag) && value != "" && value != inKey {
		return usageError{fmt.Errorf("%s: --%s is %q, and the KEY has %q; give only one of them", flag, flag, value, inKey)}
	}
	return nil
}

// checkKey refuses a key that every server would refuse.
func checkKey(key diamond.Key) error {
	if err := key.Validate(); err != nil {
		return usageError{err}
	}
	if key.System() && key.Namespace != govern.SystemNamespace {
		return errReserved(key.Namespace)
	}
	return nil
}

// errReserved is the error for a command that does not take a namespace of the system.
func errReserved(namespace string) error {
	if namespace == govern.SystemNamespace {
		return usageError{conf.Errorf(diamond.ErrInvalid, "namespace: %q has the documents of rights, for which there are commands such as tenant, token and grant; "+
			"only history and watch take their keys", namespace)}
	}
	return usageError{conf.Errorf(diamond.ErrInvalid, `namespace: %q is reserved, as are all that begin with "_"`, namespace)}
}

// oneNamespace refuses all namespaces as the value of the flag.
func (c *connection) oneNamespace() error {
	if c.namespace == diamond.AllNamespaces {
		return usageError{fmt.Errorf("namespace: %q stands for all namespaces, and this command needs one", c.namespace)}
	}
	return nil
}

// checkFilter refuses a filter that every server would refuse.
func checkFilter(filter diamond.Filter) error {
	if (diamond.Key{Namespace: filter.Namespace}).System() {
		return errReserved(filter.Namespace)
	}
	if err := filter.Validate(); err != nil {
		return usageError{err}
	}
	return nil
}

// dial returns the transport to the servers that the flags name, or those of the profile.
// The caller must call hangUp when it no longer needs the transport.
func (c *connection) dial() (wire diamond.Transport, hangUp func(), err error) {
	resolver, opts, err := c.way()
	if err != nil {
		return nil, nil, err
	}
	balancer := transport.NewBalancer(resolver, httptransport.Dialer(opts...))
	wire = balancer
	if c.anonymous {
		wire = unproven{wire, c.whyNoToken()}
	}
	return wire, balancer.Close, nil
}

// way returns who knows the servers that the flags name, or those of the profile, and the
// options of the connections to them.
func (c *connection) way() (resolver transport.Resolver, opts []httptransport.Option, err error) {
	if c.timeout <= 0 {
		return nil, nil, usageError{conf.Errorf(diamond.ErrInvalid, "timeout: %s is not positive", c.timeout)}
	}
	from, err := c.selected()
	if err != nil {
		return nil, nil, err
	}
	as, err := c.proof(from)
	if err != nil {
		return nil, nil, err
	}
	proving, err := c.proving(as, from)
	if err != nil {
		return nil, nil, err
	}
	opts = append(opts, proving...)
	servers, namesrvs := c.servers, c.namesrvs
	if len(servers)+len(namesrvs) == 0 {
		servers, namesrvs = from.Servers, from.NameServers
	}
	files := c.tls
	if files == (tlsfile.Files{}) {
		files = from.tls()
	}
	var certs *tlsfile.Client
	if files != (tlsfile.Files{}) {
		if certs, err = tlsfile.NewClient(files); err != nil {
			return nil, nil, fmt.Errorf("tls-ca, tls-cert, tls-key: %w", err)
		}
		opts = append(opts, httptransport.WithTLSSource(certs.Config))
	}
	switch {
	case len(servers) > 0 && len(namesrvs) > 0:
		return nil, nil, usageError{errBothWays}
	case len(namesrvs) > 0:
		if resolver, err = nameServers(namesrvs, certs); err != nil {
			return nil, nil, usageError{err}
		}
	case len(servers) > 0:
		resolver = transport.Static(servers...)
	default:
		resolver = transport.Static(server.DefaultAddress)
	}
	if len(servers) <= 1 && len(namesrvs) == 0 {
		// A single server has the whole timeout, because there is no other to ask.
		opts = append(opts, httptransport.WithTimeout(max(c.timeout, leastSilence)))
	}
	return resolver, opts, nil
}

// leastSilence is the shortest timeout for a silent server.
const leastSilence = 5 * time.Second

// checkServer refuses an invalid address of a server before it is used.
func checkServer(addr string) error {
	_, err := httptransport.New(addr)
	return err
}

// checkNameServer refuses an invalid URL of a name server.
func checkNameServer(url string) error {
	_, err := namesrv.NewClient([]string{url})
	return err
}

var errBothWays = errors.New("give either --server or --namesrv, not both")
