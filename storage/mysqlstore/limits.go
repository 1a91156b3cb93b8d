package mysqlstore

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	diamond "github.com/linnaname/gdiamond"
)

const (
	// rowOverhead is what a row may have besides its content: the parts of a
	// key, metadata, comment, author, address, and the numbers as text.
	rowOverhead = 64 << 10
	// maxStatement is how many bytes of values one statement writes at most
	// where it writes several rows.
	maxStatement = 4 << 20
)

// limits are what the database permits.
type limits struct {
	packet  int64 // max_allowed_packet
	content int64 // bytes of one content
	text    int64 // bytes of values that a statement may have, written in the text of it
}

// readLimits asks the database for its settings, and refuses those that would
// break a promise.
func readLimits(ctx context.Context, q querier) (*limits, error) {
	settings := make(map[string]string)
	err := queryOn(ctx, q, `SHOW VARIABLES WHERE Variable_name IN
		('max_allowed_packet', 'autocommit', 'tx_isolation', 'transaction_isolation')`, nil,
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
	// Reads are single statements: with autocommit off each would leave a
	// transaction open, whose moment all later ones would see.
	if settings["autocommit"] != "ON" {
		return nil, diamond.Errorf(diamond.ErrInvalid, "the connections have autocommit off: leave it on")
	}
	for _, name := range []string{"tx_isolation", "transaction_isolation"} {
		if settings[name] == "READ-UNCOMMITTED" {
			return nil, diamond.Errorf(diamond.ErrInvalid, "the connections have %s READ-UNCOMMITTED, which shows changes that may never be", name)
		}
	}
	packet, err := strconv.ParseInt(settings["max_allowed_packet"], 10, 64)
	if err != nil {
		return nil, diamond.Errorf(diamond.ErrUnavailable, "the database does not say its max_allowed_packet")
	}
	l := &limits{packet: packet, content: packet - rowOverhead}
	if l.content < rowOverhead {
		return nil, diamond.Errorf(diamond.ErrInvalid, "max_allowed_packet is %d: set it to %d or more, better to 16777216", packet, 2*rowOverhead)
	}
	// In the text of a statement each byte may take two.
	l.text = min(l.content/2, maxStatement)
	return l, nil
}
