package mysqlstore

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

const (
	// rowOverhead is the size that a row may have without its content: the parts of the
	// key, metadata, comment, author, address, and the numbers as text.
	rowOverhead = 64 << 10
	// maxStatement limits the values of a statement with several rows, in bytes.
	maxStatement = 4 << 20
)

// limits are the limits of the database.
type limits struct {
	packet  int64 // max_allowed_packet
	content int64 // bytes of one content
	text    int64 // bytes of values in the text of a statement
}

// variable is a setting of connections that correctness depends on.
type variable struct {
	name string
	set  string // the value to set
	is   string // the value that SHOW VARIABLES then has
	why  string
}

// required returns the variables that [OpenDB] sets, and that the connections
// given to [New] must have.
func required() []variable {
	const noLimit = "18446744073709551615"
	return []variable{
		{"autocommit", "1", "ON", "each read would leave a transaction open, whose moment all later ones would see"},
		{"sql_select_limit", noLimit, noLimit, "reads would leave out rows, and say nothing"},
		{"unique_checks", "1", "ON", "a request id could be taken twice"},
		{"completion_type", "0", "NO_CHAIN", "a COMMIT would begin another transaction, or end the connection"},
		{"sql_safe_updates", "0", "OFF", "the database would refuse what the storage deletes"},
		{"sql_big_selects", "1", "ON", "the database would refuse reads of many rows"},
	}
}

// readLimits reads the database's settings, and refuses those that would break a promise.
func readLimits(ctx context.Context, q querier) (*limits, error) {
	settings := make(map[string]string)
	names := []any{"max_allowed_packet", "tx_isolation", "transaction_isolation", "tx_read_only", "transaction_read_only"}
	for _, v := range required() {
		names = append(names, v.name)
	}
	err := queryOn(ctx, q, "SHOW VARIABLES WHERE Variable_name IN ("+marks(len(names))+")", names,
		func(rows *sql.Rows) error {
			var name, value string
			if err := rows.Scan(&name, &value); err != nil {
				return err
			}
			settings[strings.ToLower(name)] = strings.ToUpper(value)
			return nil
		})
	if err != nil {
		return nil, err
	}
	for _, v := range required() {
		if have, ok := settings[v.name]; ok && have != v.is {
			return nil, conf.Errorf(conf.ErrInvalid, "the connections have %s = %s: set it to %s, otherwise %s", v.name, have, v.set, v.why)
		}
	}
	for _, name := range []string{"tx_read_only", "transaction_read_only"} {
		if settings[name] == "ON" {
			return nil, conf.Errorf(conf.ErrInvalid, "the connections have %s ON: turn it off", name)
		}
	}
	for _, name := range []string{"tx_isolation", "transaction_isolation"} {
		if settings[name] == "READ-UNCOMMITTED" {
			return nil, conf.Errorf(conf.ErrInvalid, "the connections have %s READ-UNCOMMITTED, which shows changes that may never be", name)
		}
	}
	packet, err := strconv.ParseInt(settings["max_allowed_packet"], 10, 64)
	if err != nil {
		// SHOW VARIABLES is cut short too.
		return nil, conf.Errorf(conf.ErrInvalid, "the database does not report max_allowed_packet: the connections may have a low sql_select_limit; remove it")
	}
	l := &limits{packet: packet, content: packet - rowOverhead}
	if l.content < rowOverhead {
		return nil, conf.Errorf(conf.ErrInvalid, "max_allowed_packet is %d: set it to %d or more, better to 16777216", packet, 2*rowOverhead)
	}
	// In the text of a statement a byte may need two.
	l.text = min(l.content/2, maxStatement)
	return l, nil
}
