package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/linnaname/gdiamond/robust/proxy"
)

// startTime is the time for a process to start on a busy machine.
const startTime = 3 * time.Minute

// Process is a [Member] that runs as a separate process.
type Process struct {
	// Command returns the command that serves at addr.
	Command func(addr string) *exec.Cmd
	// Dialer opens a connection to an address in the network of the process.
	Dialer func(ctx context.Context, addr string) (net.Conn, error)
	// Address is the address of the process.
	Address string
	// Stderr is the file for the log. If it is nil, Log returns the log.
	Stderr *os.File

	log text

	mu    sync.Mutex
	cmd   *exec.Cmd     // guarded by mu; nil if the process does not run
	ended chan struct{} // guarded by mu; closed when cmd has ended
	err   error         // guarded by mu; the result of cmd
}

// lastPort is the last port that FreeAddress has returned. Systems do not assign these ports
// by themselves.
var lastPort atomic.Int32

// FreeAddress returns an address at [proxy.Host] at which nothing listens.
func FreeAddress() (string, error) {
	for {
		addr := net.JoinHostPort(proxy.Host(), fmt.Sprint(20000+lastPort.Add(1)))
		ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
		switch {
		case err == nil:
			return addr, ln.Close()
		case !errors.Is(err, syscall.EADDRINUSE):
			return "", err
		}
	}
}

// Start starts the process, unless it runs, and waits until it answers.
func (p *Process) Start() error {
	if err := p.Launch(); err != nil {
		return err
	}
	return p.Await()
}

// Launch starts the process, unless it runs, and does not wait.
func (p *Process) Launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return nil
	}
	cmd := p.Command(p.Address)
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if p.Stderr != nil {
		cmd.Stderr = p.Stderr
	}
	// The process ends with the thread that starts it, so that it does not outlive this
	// process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.err = err
		p.cmd = nil
		close(ended)
	}()
	err := <-started
	if err == nil {
		p.cmd, p.ended = cmd, ended
	}
	return err
}

// Await waits until the process answers its liveness check.
func (p *Process) Await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	pool := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.Dial(ctx) }}
	client := &http.Client{Transport: pool}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addr()+"/livez", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err == nil {
			_ = res.Body.Close()
			return nil
		}
		if !p.Running() {
			return fmt.Errorf("the process has ended: %s", p.Log())
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the process does not answer: %w", err)
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// Running reports whether the process runs.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil
}

// Life returns a value that is another one after a restart, and nil if the process does not run.
func (p *Process) Life() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	return p.cmd
}

// Signal sends sig to the process, if it runs.
func (p *Process) Signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(sig)
	}
}

// Wait waits for the end of the process, and returns its result.
func (p *Process) Wait() error {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if ended == nil {
		return nil
	}
	<-ended
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Kill ends the process like a crash.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	_ = p.Wait()
}

// Stop stops the process gracefully.
func (p *Process) Stop() error {
	if !p.Running() {
		return nil
	}
	p.Signal(syscall.SIGCONT)
	p.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(startTime, func() { p.Signal(syscall.SIGKILL) })
	defer timer.Stop()
	if err := p.Wait(); err != nil {
		return fmt.Errorf("stop a process: %w", err)
	}
	return nil
}

// Addr returns where the process listens.
func (p *Process) Addr() string { return p.Address }

// Dial opens a connection to the process.
func (p *Process) Dial(ctx context.Context) (net.Conn, error) {
	if p.Dialer != nil {
		return p.Dialer(ctx, p.Address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", p.Address)
}

// Log returns what the process has printed.
func (p *Process) Log() string { return p.log.String() }

// Build builds a program of the module in dir into a file below into.
func Build(ctx context.Context, dir, pkg, into string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", into}, args...), pkg)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(err, fmt.Errorf("go build: %s", out))
	}
	_, err = os.Stat(into)
	return err
}
