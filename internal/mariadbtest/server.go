package mariadbtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// startTime is the time for a server to start or stop on a busy machine.
const startTime = 2 * time.Minute

// aio turns off the kernel's asynchronous I/O, whose limits apply to each user. Tests run many
// servers as the same user.
const aio = "--innodb-use-native-aio=0"

// Options are the options of a private server.
type Options struct {
	// Durable makes each commit wait for the disk, as on a real server. Without it, data
	// survives any end of the process, but not a power loss.
	Durable bool
	// Dir is the parent of the data directory. The default is the directory for temporary
	// files.
	Dir string
	// Args are additional arguments of the server.
	Args []string
}

// Server is a private server. It has a separate data directory, listens on a port of the
// loopback interface, and ignores the machine's configuration.
type Server struct {
	bin      binaries
	options  Options
	servant  servant
	dir      string
	port     int
	password string
	process  *process
}

// New creates a data directory and starts a server on it. The error is ErrNone if there is no
// server on this machine.
func New(options Options) (*Server, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(options.Dir, "gdiamond-db-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, options: options, servant: newServant(), dir: dir, password: rand.Text()}
	if err := s.initialize(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	// Another process may take a free port; then try another port.
	for range 5 {
		if s.port, err = freePort(); err == nil {
			err = s.Start()
		}
		if err == nil {
			return s, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// initialize creates the data directory, and the file of statements that each start runs. They
// create the user for tests.
func (s *Server) initialize() error {
	if err := errors.Join(os.Mkdir(s.temp(), 0o700), s.servant.own(s.temp()), s.servant.own(s.dir)); err != nil {
		return err
	}
	name, args := s.bin.server, []string{"--no-defaults", "--initialize-insecure"}
	if s.bin.install != "" {
		name, args = s.bin.install, []string{"--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	cmd := s.servant.command(ctx, s.dir, name, append(args, "--datadir="+s.data(), "--tmpdir="+s.temp(), aio)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	var sql bytes.Buffer
	for _, host := range []string{"127.0.0.1", "localhost"} {
		fmt.Fprintf(&sql, "CREATE USER IF NOT EXISTS 'tester'@'%s' IDENTIFIED BY '%s';\n", host, s.password)
		fmt.Fprintf(&sql, "GRANT ALL ON *.* TO 'tester'@'%s' WITH GRANT OPTION;\n", host)
	}
	init := filepath.Join(s.dir, "init.sql")
	return errors.Join(os.WriteFile(init, sql.Bytes(), 0o600), s.servant.own(init))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) temp() string { return filepath.Join(s.dir, "tmp") }

// freePort returns a port on which nobody listens. It is below the ports that systems assign, so
// that nobody takes it while a server is stopped.
func freePort() (port int, err error) {
	for range 100 {
		port = 15_000 + mathrand.IntN(15_000)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// Start restarts a stopped or killed server on the same port and data, and waits until it
// answers.
func (s *Server) Start() error {
	sync := "--innodb-flush-method=nosync"
	if s.options.Durable {
		sync = "--innodb-flush-log-at-trx-commit=1"
	}
	args := append([]string{
		"--no-defaults", "--datadir=" + s.data(), "--tmpdir=" + s.temp(), "--init-file=" + filepath.Join(s.dir, "init.sql"),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(s.port),
		"--socket=" + filepath.Join(s.dir, "sock"), "--pid-file=" + filepath.Join(s.dir, "pid"),
		"--log-error=" + s.log(), "--skip-log-bin", "--max-connections=1000", "--innodb-buffer-pool-size=128M", aio, sync,
	}, s.options.Args...)
	p, err := startProcess(s.servant.command(context.Background(), s.dir, s.bin.server, args...))
	if err != nil {
		return err
	}
	s.process = p
	if err := s.await(); err != nil {
		p.end(killSignal)
		log, _ := os.ReadFile(s.log())
		return fmt.Errorf("%s on port %d: %w\n%s", s.bin.server, s.port, err, log[max(0, len(log)-4000):])
	}
	return nil
}

func (s *Server) log() string { return filepath.Join(s.dir, "error.log") }

// await waits until the server answers.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	cfg, err := mysql.ParseDSN(s.DSN())
	if err != nil {
		return err
	}
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := connector.Connect(ctx)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("it ended: %w", s.process.err)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// DSN returns the DSN of the server, with no database.
func (s *Server) DSN() string {
	return fmt.Sprintf("tester:%s@tcp(%s)/", s.password, s.Addr())
}

// NewDatabase creates an empty database called name, and returns its DSN.
func (s *Server) NewDatabase(ctx context.Context, name string) (dsn string, err error) {
	cfg, err := mysql.ParseDSN(s.DSN())
	if err != nil {
		return "", err
	}
	db, err := sql.Open("mysql", s.DSN())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE `"+strings.ReplaceAll(name, "`", "``")+"`"); err != nil {
		return "", err
	}
	cfg.DBName = name
	return cfg.FormatDSN(), nil
}

// Addr returns the server's address, 127.0.0.1:port. It stays the same.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// PID returns the id of the server's process, which each Start changes.
func (s *Server) PID() int { return s.process.os.Pid }

// Stop stops the server gracefully.
func (s *Server) Stop() { s.process.end(stopSignal) }

// Kill ends the server like a crash.
func (s *Server) Kill() { s.process.end(killSignal) }

// Pause makes the server stop answering until Continue. Its connections stay open. Pause returns
// once the server is paused.
func (s *Server) Pause() error {
	if err := s.process.signal(pauseSignal); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if all, done := stopped(s.process.os.Pid); done {
			return errors.New("the server has ended")
		} else if all {
			return nil
		}
		<-tick.C
	}
}

// Continue ends a Pause.
func (s *Server) Continue() error { return s.process.signal(continueSignal) }

// Close ends the server and removes its data.
func (s *Server) Close() error {
	s.Kill()
	return os.RemoveAll(s.dir)
}
