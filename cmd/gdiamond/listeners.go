package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// clientOut is a client as it is written.
type clientOut struct {
	Name      string            `json:"name" yaml:"name"`
	ID        string            `json:"id,omitempty" yaml:"id,omitempty"`
	App       string            `json:"app,omitempty" yaml:"app,omitempty"`
	Version   string            `json:"version,omitempty" yaml:"version,omitempty"`
	Labels    map[string]string `json:"labels,omitempty" yaml:"labels,omitempty"`
	Principal string            `json:"principal" yaml:"principal"`
	Address   string            `json:"address,omitempty" yaml:"address,omitempty"`
	Node      string            `json:"node,omitempty" yaml:"node,omitempty"`
	Keys      int               `json:"keys,omitempty" yaml:"keys,omitempty"`
	Revision  int64             `json:"revision,omitempty" yaml:"revision,omitempty"`
	Seen      time.Time         `json:"seen,omitzero" yaml:"seen,omitempty"`
	Polling   bool              `json:"polling" yaml:"polling"`
}

func outClient(c *conf.Client) clientOut {
	return clientOut{
		c.Name, c.ID, c.App, c.Version, c.Labels, principalShown(c.Principal), c.Address, c.Node, c.Keys, c.Revision, c.Seen, c.Polling,
	}
}

// columns returns what tables say of a client.
func (c *clientOut) columns() []string {
	seen := "now"
	if !c.Polling {
		seen = "-"
		if !c.Seen.IsZero() {
			seen = shortTime(c.Seen)
		}
	}
	return []string{dash(c.ID), dash(c.App), dash(c.Version), c.Principal, dash(c.Address), dash(c.Node), seen}
}

// clientColumns is the heading of columns.
const clientColumns = "CLIENT APP VERSION PRINCIPAL ADDRESS NODE POLLING"

// once returns list, of several pages, with each server and reason once.
func once(list []conf.MissingNode) (out []conf.MissingNode) {
	for _, m := range list {
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}

// warnMissing tells the user that the output is partial.
func warnMissing(cmd *cobra.Command, missing []conf.MissingNode) {
	for _, m := range missing {
		fmt.Fprintf(cmd.ErrOrStderr(), "gdiamond: partial: %s: %s\n", dash(m.Node), m.Reason)
	}
}

// listenerOut is a listener as it is written.
type listenerOut struct {
	clientOut  `yaml:",inline"`
	State      string    `json:"state" yaml:"state"` // applied, rejected, pending or unknown
	Reported   int64     `json:"reported,omitempty" yaml:"reported,omitempty"`
	Reason     string    `json:"reason,omitempty" yaml:"reason,omitempty"`
	ReportedAt time.Time `json:"reportedAt,omitzero" yaml:"reportedAt,omitempty"`
}

// stateOf returns what a listener has done with a revision, in a word.
func stateOf(l *conf.Listener, revision int64) string {
	switch {
	case l.Reported == 0:
		return "unknown"
	case l.Reported < revision:
		return "pending"
	case l.Applied:
		return "applied"
	}
	return "rejected"
}

// listenersOut is who listens to a key, as it is written.
type listenersOut struct {
	Key       string             `json:"key" yaml:"key"`
	Revision  int64              `json:"revision" yaml:"revision"`
	Polling   int                `json:"polling" yaml:"polling"`
	States    map[string]int     `json:"states" yaml:"states"` // listeners by state
	Partial   bool               `json:"partial" yaml:"partial"`
	Missing   []conf.MissingNode `json:"missing,omitempty" yaml:"missing,omitempty"`
	Listeners []listenerOut      `json:"listeners" yaml:"listeners"`
}

func newListeners() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "listeners KEY",
		Short: "List the clients that listen to a key, and what they have done with its value",
		Long: `List the clients that poll a key at any server of the cluster, with the revision that each has
reported about last. The state is applied or rejected for the present revision, pending if
the report is about an earlier one, and unknown if there is none: clients report only keys
to which a listener of theirs is subscribed. You need the right to read the key.`,
		Args: arguments(1, 1, "a KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := c.key(args[0])
			if err != nil {
				return err
			}
			out := listenersOut{Key: key.String(), Listeners: []listenerOut{}, States: map[string]int{}}
			var missing []conf.MissingNode
			req := &conf.ListenersRequest{Key: key.Canonical(), Limit: conf.MaxPage}
			for more := true; more; more = req.After != "" {
				var page *conf.ListenersResponse
				err := c.ask(cmd.Context(), func(ctx context.Context, wire *httptransport.Transport) (err error) {
					page, err = wire.Listeners(ctx, req)
					return err
				})
				if err != nil {
					return err
				}
				out.Revision, out.Polling, req.After = page.Revision, page.Polling, page.Next
				missing = append(missing, page.Missing...)
				for i := range page.Listeners {
					l := &page.Listeners[i]
					state := stateOf(l, page.Revision)
					out.States[state]++
					out.Listeners = append(out.Listeners, listenerOut{outClient(&l.Client), state, l.Reported, l.Reason, l.ReportedAt})
				}
			}
			out.Missing, out.Partial = once(missing), len(missing) > 0
			warnMissing(cmd, out.Missing)
			if c.output != formatTable {
				return c.output.write(cmd.OutOrStdout(), out)
			}
			rows := make([][]string, len(out.Listeners))
			for i, l := range out.Listeners {
				reported := "-"
				if l.Reported > 0 {
					reported = strconv.FormatInt(l.Reported, 10)
				}
				rows[i] = append(l.columns(), l.State, reported, dash(l.Reason))
			}
			return table(cmd.OutOrStdout(), clientColumns+" STATE REVISION REASON", rows)
		},
	}
	c.flags(cmd)
	return cmd
}

// clientsOut is who polls, as it is written.
type clientsOut struct {
	Polling int                `json:"polling" yaml:"polling"`
	Partial bool               `json:"partial" yaml:"partial"`
	Missing []conf.MissingNode `json:"missing,omitempty" yaml:"missing,omitempty"`
	Clients []clientOut        `json:"clients" yaml:"clients"`
}

func newClients() *cobra.Command {
	var c connection
	var namespace string
	cmd := &cobra.Command{
		Use:   "clients",
		Short: "List the clients of the cluster",
		Long: `List the clients that poll any server of the cluster, or did in the last 5 minutes. You need the
right to list everything, or with --of to administer the namespace.`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := clientsOut{Clients: []clientOut{}}
			var missing []conf.MissingNode
			req := &conf.ClientsRequest{Namespace: namespace, Limit: conf.MaxPage}
			for more := true; more; more = req.After != "" {
				var page *conf.ClientsResponse
				err := c.ask(cmd.Context(), func(ctx context.Context, wire *httptransport.Transport) (err error) {
					page, err = wire.Clients(ctx, req)
					return err
				})
				if err != nil {
					return err
				}
				out.Polling, req.After = page.Polling, page.Next
				missing = append(missing, page.Missing...)
				for i := range page.Clients {
					out.Clients = append(out.Clients, outClient(&page.Clients[i]))
				}
			}
			out.Missing, out.Partial = once(missing), len(missing) > 0
			warnMissing(cmd, out.Missing)
			if c.output != formatTable {
				return c.output.write(cmd.OutOrStdout(), out)
			}
			rows := make([][]string, len(out.Clients))
			for i, one := range out.Clients {
				rows[i] = append(one.columns(), strconv.Itoa(one.Keys), strconv.FormatInt(one.Revision, 10))
			}
			return table(cmd.OutOrStdout(), clientColumns+" KEYS REVISION", rows)
		},
	}
	c.common(cmd)
	cmd.Flags().StringVar(&namespace, "of", "", "list only clients that poll keys of this `NAMESPACE`")
	return cmd
}

func newCluster() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Show the state of the servers of the cluster",
		Long: `Show the state of all servers of the cluster, as one of them sees it. You need the right to list
everything.`,
		Args: arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var state *conf.Cluster
			err := c.ask(cmd.Context(), func(ctx context.Context, wire *httptransport.Transport) (err error) {
				state, err = wire.Cluster(ctx)
				return err
			})
			if err != nil {
				return err
			}
			warnMissing(cmd, once(state.Missing))
			if c.output != formatTable {
				return c.output.write(cmd.OutOrStdout(), state)
			}
			rows := make([][]string, len(state.Nodes))
			for i := range state.Nodes {
				rows[i] = clusterRow(&state.Nodes[i])
			}
			return table(cmd.OutOrStdout(), "NODE READY MODE REVISION LAG STALE KEYS POLLING VERSION STORAGE REPLICA NAMESERVERS PEERS", rows)
		},
	}
	c.common(cmd)
	return cmd
}

// clusterRow returns the state of a server as a row of a table.
func clusterRow(n *conf.ClusterNode) []string {
	ready, storage, replica := "no", "ok", "-"
	if n.Ready {
		ready = "yes"
	}
	if n.Storage != "" {
		storage = strings.Join(strings.Fields(n.Storage), " ")
	}
	if n.Replica != nil {
		replica = strconv.FormatInt(n.Replica.Revision, 10)
	}
	return []string{
		n.Node, ready, dash(n.Mode), strconv.FormatInt(n.Revision, 10), n.Lag.Round(time.Millisecond).String(),
		n.Stale.Round(time.Millisecond).String(), strconv.Itoa(n.Keys), strconv.Itoa(n.Polling), n.Version, storage, replica,
		working(n.NameServers), working(n.Peers),
	}
}

// working returns how many of some things have no problem, such as "2/3".
func working(problems map[string]string) string {
	if len(problems) == 0 {
		return "-"
	}
	good := 0
	for problem := range maps.Values(problems) {
		if problem == "" {
			good++
		}
	}
	return fmt.Sprintf("%d/%d", good, len(problems))
}
