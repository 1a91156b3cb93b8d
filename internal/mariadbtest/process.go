package mariadbtest

import (
	"os"
	"os/exec"
	"runtime"
	"time"
)

// process is a running server. If the system supports it, the server does not outlive this
// process.
type process struct {
	os   *os.Process
	done chan struct{} // closed when it has ended
	err  error         // the reason; valid once done is closed
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// If the system ends children with their parent, the parent is the thread that started
		// them. So this thread waits for the child.
		runtime.LockOSThread()
		defer close(p.done)
		err := cmd.Start()
		p.os = cmd.Process
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	return p, <-started
}

// signal sends sig to the process.
func (p *process) signal(sig os.Signal) error { return p.os.Signal(sig) }

// end sends sig and waits until the process ends. It kills a process that takes too long.
func (p *process) end(sig os.Signal) {
	_ = p.signal(continueSignal) // it may be paused; it may have ended
	_ = p.signal(sig)
	timer := time.NewTimer(startTime)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		_ = p.signal(killSignal)
		<-p.done
	}
}
