package engine

import (
	"cmp"
	"container/list"
	"iter"
	"strings"
	"time"
	"weak"

	"github.com/linnaname/gdiamond/conf"
)

// clientName names a client among all. A principal cannot take the name of another's client.
type clientName struct {
	principal string // "" if the client is anonymous
	id        string // that the client gives itself; without one, where it polls from and what
}

func (n clientName) compare(o clientName) int {
	return cmp.Or(strings.Compare(n.principal, o.principal), strings.Compare(n.id, o.id))
}

// String returns the name as pages and their requests have it. No principal has a space.
func (n clientName) String() string { return n.principal + " " + n.id }

// parseClientName is the inverse of String. Any text is a name.
func parseClientName(text string) clientName {
	principal, id, _ := strings.Cut(text, " ")
	return clientName{principal, id}
}

// client is a client that polls. There may be a hundred thousand, so it is small: its texts
// are one string, and it has its key set by a reference that does not keep it.
type client struct {
	name    clientName
	source  string // against which it counts
	address string
	texts   string // id, app, version, then name and value of each label, each ended by a zero byte
	set     weak.Pointer[keySet]

	revision int64 // up to which it knew its keys
	seen     time.Time
	polls    int32         // under way
	index    int32         // in clients.all, or -1 once the table does not have it
	place    *list.Element // in clients.idle, unless it polls or is forgotten
}

// textsOf returns the texts of info for a client.
func textsOf(info *conf.ClientInfo) string {
	var b strings.Builder
	add := func(text string) {
		b.WriteString(text)
		b.WriteByte(0)
	}
	add(info.ID)
	add(info.App)
	add(info.Version)
	for name, value := range info.Labels {
		add(name)
		add(value)
	}
	return b.String()
}

// parts yields the texts of c.
func (c *client) parts() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := c.texts; rest != ""; {
			var part string
			if part, rest, _ = strings.Cut(rest, "\x00"); !yield(part) {
				return
			}
		}
	}
}

// is reports whether c describes itself by info. It allocates nothing, because each poll asks.
func (c *client) is(info *conf.ClientInfo) bool {
	i, label := 0, ""
	for part := range c.parts() {
		same := true
		switch {
		case i == 0:
			same = part == info.ID
		case i == 1:
			same = part == info.App
		case i == 2:
			same = part == info.Version
		case i%2 == 1:
			label = part
		default:
			value, ok := info.Labels[label]
			same = ok && value == part
		}
		if !same {
			return false
		}
		i++
	}
	return i == 3+2*len(info.Labels)
}

// info returns the texts of c as the client gave them.
func (c *client) info() (info conf.ClientInfo) {
	i, label := 0, ""
	for part := range c.parts() {
		switch {
		case i == 0:
			info.ID = part
		case i == 1:
			info.App = part
		case i == 2:
			info.Version = part
		case i%2 == 1:
			label = part
		default:
			if info.Labels == nil {
				info.Labels = make(map[string]string)
			}
			info.Labels[label] = part
		}
		i++
	}
	return info
}

// describe returns c as answers have it.
func (c *client) describe() conf.Client {
	d := conf.Client{
		ClientInfo: c.info(), Name: c.name.String(), Principal: c.name.principal, Address: c.address,
		Revision: c.revision, Seen: c.seen.Round(0), Polling: c.polls > 0,
	}
	if set := c.set.Value(); set != nil {
		d.Keys = len(set.Keys)
	}
	return d
}
