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

	"github.com/linnaname/gdiamond/conf"
)

func number(n uint16) error { return &mysql.MySQLError{Number: n, Message: "canary"} }

func TestFailure(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	known := conf.Errorf(conf.ErrConflict, "known")
	for _, c := range []struct {
		err   error
		want  error
		again bool
		drop  bool
	}{
		{number(1213), conf.ErrUnavailable, true, false},
		{number(1205), conf.ErrUnavailable, true, false},
		{number(1290), conf.ErrUnavailable, true, true},
		{number(1792), conf.ErrUnavailable, true, true},
		{number(1836), conf.ErrUnavailable, true, true},
		{number(1053), conf.ErrUnavailable, true, true},
		{number(1317), conf.ErrUnavailable, false, false},
		{number(1040), conf.ErrUnavailable, false, true},
		{number(1045), conf.ErrUnavailable, false, true},
		{number(1049), conf.ErrUnavailable, false, true},
		{number(1142), conf.ErrUnavailable, false, false},
		{number(1146), conf.ErrUnavailable, false, false},
		{number(9999), conf.ErrUnavailable, false, false},
		{number(1153), conf.ErrTooLarge, false, true},
		{mysql.ErrPktTooLarge, conf.ErrTooLarge, false, true},
		{number(1021), conf.ErrNoSpace, false, false},
		{number(1114), conf.ErrNoSpace, false, false},
		{&mysql.MySQLError{Number: 1030, Message: `Got error 28 "No space left on device" from storage engine InnoDB`}, conf.ErrNoSpace, false, false},
		{&mysql.MySQLError{Number: 1026, Message: "Error writing file './binlog.000001' (errno: 28)"}, conf.ErrNoSpace, false, false},
		{&mysql.MySQLError{Number: 1030, Message: "Got error 281 from storage engine"}, conf.ErrUnavailable, false, false},
		{driver.ErrBadConn, conf.ErrUnavailable, true, true},
		{mysql.ErrInvalidConn, conf.ErrUnavailable, true, true},
		{io.ErrUnexpectedEOF, conf.ErrUnavailable, true, true},
		{dial, conf.ErrUnavailable, false, true},
		{mysql.ErrCleartextPassword, conf.ErrUnavailable, false, true},
		{errors.New("canary"), conf.ErrUnavailable, false, true},
		{known, conf.ErrConflict, false, false},
	} {
		err := failure(t.Context(), c.err)
		require.ErrorIs(t, err, c.want, "%v", c.err)
		require.NotErrorIs(t, err, conf.ErrUnknownOutcome)
		require.NotContains(t, err.Error(), "canary")
		require.Equal(t, c.again, again(c.err), "again: %v", c.err)
		require.Equal(t, c.drop, useless(c.err), "drop: %v", c.err)

		// The same while the transaction was committed.
		if c.err != error(known) {
			err = failure(t.Context(), uncertain{c.err})
			require.ErrorIs(t, err, conf.ErrUnknownOutcome, "%v", c.err)
			require.NotErrorIs(t, err, conf.ErrUnavailable)
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
	require.NotErrorIs(t, err, conf.ErrUnavailable)
	err = failure(ctx, uncertain{mysql.ErrInvalidConn})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, conf.ErrUnknownOutcome)
	require.ErrorIs(t, failure(ctx, known), conf.ErrConflict)
}
