package mysqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	diamond "github.com/linnaname/gdiamond"
)

func number(n uint16) error { return &mysql.MySQLError{Number: n, Message: "canary"} }

func TestFailure(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	known := diamond.Errorf(diamond.ErrConflict, "known")
	for _, c := range []struct {
		err   error
		want  error
		again bool
		drop  bool
	}{
		{number(1213), diamond.ErrUnavailable, true, false},
		{number(1205), diamond.ErrUnavailable, true, false},
		{number(1290), diamond.ErrUnavailable, true, true},
		{number(1792), diamond.ErrUnavailable, true, true},
		{number(1836), diamond.ErrUnavailable, true, true},
		{number(1053), diamond.ErrUnavailable, true, true},
		{number(1317), diamond.ErrUnavailable, false, false},
		{number(1040), diamond.ErrUnavailable, false, true},
		{number(1045), diamond.ErrUnavailable, false, true},
		{number(1049), diamond.ErrUnavailable, false, true},
		{number(1142), diamond.ErrUnavailable, false, false},
		{number(1146), diamond.ErrUnavailable, false, false},
		{number(9999), diamond.ErrUnavailable, false, false},
		{number(1153), diamond.ErrTooLarge, false, true},
		{mysql.ErrPktTooLarge, diamond.ErrTooLarge, false, true},
		{number(1021), diamond.ErrNoSpace, false, false},
		{number(1114), diamond.ErrNoSpace, false, false},
		{&mysql.MySQLError{Number: 1030, Message: `Got error 28 "No space left on device" from storage engine InnoDB`}, diamond.ErrNoSpace, false, false},
		{&mysql.MySQLError{Number: 1026, Message: "Error writing file './binlog.000001' (errno: 28)"}, diamond.ErrNoSpace, false, false},
		{&mysql.MySQLError{Number: 1030, Message: "Got error 281 from storage engine"}, diamond.ErrUnavailable, false, false},
		{driver.ErrBadConn, diamond.ErrUnavailable, true, true},
		{mysql.ErrInvalidConn, diamond.ErrUnavailable, true, true},
		{io.ErrUnexpectedEOF, diamond.ErrUnavailable, true, true},
		{dial, diamond.ErrUnavailable, false, true},
		{mysql.ErrCleartextPassword, diamond.ErrUnavailable, false, true},
		{errors.New("canary"), diamond.ErrUnavailable, false, true},
		{known, diamond.ErrConflict, false, false},
	} {
		err := failure(t.Context(), c.err)
		require.ErrorIs(t, err, c.want, "%v", c.err)
		require.NotErrorIs(t, err, diamond.ErrUnknownOutcome)
		require.NotContains(t, err.Error(), "canary")
		require.Equal(t, c.again, again(c.err), "again: %v", c.err)
		require.Equal(t, c.drop, useless(c.err), "drop: %v", c.err)

		// The same while the transaction was committed.
		if c.err != error(known) {
			err = failure(t.Context(), uncertain{c.err})
			require.ErrorIs(t, err, diamond.ErrUnknownOutcome, "%v", c.err)
			require.NotErrorIs(t, err, diamond.ErrUnavailable)
			require.NotContains(t, err.Error(), "canary")
			require.False(t, again(uncertain{c.err}))
		}
	}
	require.NoError(t, failure(t.Context(), nil))

	cause := errors.New("a sibling has failed")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	err := failure(ctx, mysql.ErrInvalidConn)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, cause)
	require.NotErrorIs(t, err, diamond.ErrUnavailable)
	err = failure(ctx, uncertain{mysql.ErrInvalidConn})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, diamond.ErrUnknownOutcome)
	require.ErrorIs(t, failure(ctx, known), diamond.ErrConflict)
}
