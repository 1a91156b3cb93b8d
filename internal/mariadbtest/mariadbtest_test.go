package mariadbtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(Main(m).Run()) }

func TestDatabase(t *testing.T) {
	var names [2]string
	t.Run("fresh", func(t *testing.T) {
		for i := range names {
			db := Connect(t, Database(t))
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&names[i]))
			_, err := db.ExecContext(t.Context(), "CREATE TABLE a (id INT PRIMARY KEY)")
			require.NoError(t, err)
		}
	})
	require.NotEqual(t, names[0], names[1])
	var left int
	db := Connect(t, Database(t))
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name IN (?, ?)", names[0], names[1]).Scan(&left))
	require.Zero(t, left, "dropped with the test")
}

func TestServerOfItsOwn(t *testing.T) {
	s := Start(t, Options{Args: []string{"--max-allowed-packet=2M"}})
	db := Connect(t, s.Database(t))
	query := func(q string) (n int, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return n, db.QueryRowContext(ctx, q).Scan(&n)
	}
	n, err := query("SELECT @@max_allowed_packet")
	require.NoError(t, err)
	require.Equal(t, 2<<20, n)
	_, err = db.ExecContext(t.Context(), "CREATE TABLE a (id INT PRIMARY KEY) ENGINE=InnoDB")
	require.NoError(t, err)
	for i, end := range []func(){s.Stop, s.Kill} {
		_, err = db.ExecContext(t.Context(), "INSERT INTO a VALUES (?)", i)
		require.NoError(t, err)
		end()
		_, err = query("SELECT 1")
		require.Error(t, err)
		require.NoError(t, s.Start())
		n, err = query("SELECT COUNT(*) FROM a")
		require.NoError(t, err)
		require.Equal(t, i+1, n)
	}
	require.NoError(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, db.QueryRowContext(ctx, "SELECT 1").Scan(&n), "it does not answer")
	require.NoError(t, s.Continue())
	_, err = query("SELECT 1")
	require.NoError(t, err)
}

// A process that ends without a word, as one that a timeout or an interrupt
// ends does, leaves no server behind.
func TestServerEndsWithItsProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends children with their parents")
	}
	if os.Getenv("DIAMOND_TEST_CHILD") != "" {
		s, err := New(Options{})
		require.NoError(t, err)
		fmt.Println("address", s.Addr(), s.dir)
		select {} // until it is killed
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServerEndsWithItsProcess$")
	cmd.Env = append(os.Environ(), "DIAMOND_TEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var addr, dir string
	_, err = fmt.Fscanf(out, "address %s %s\n", &addr, &dir)
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, time.Minute, 10*time.Millisecond, "the server is still there")
}
