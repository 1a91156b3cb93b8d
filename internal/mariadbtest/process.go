package mariadbtest

import (
	"os"
	"os/exec"
	"runtime"
	"time"
)

// process is a server that runs. It does not outlive this one where the system
// can see to that.
type process struct {
	os   *os.Process
	done chan struct{} // closed when it has ended
	err  error         // why; once done is closed
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Where the system ends children with their parent, the parent is the
		// thread that started them: this one waits with them.
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

// end sends sig and waits for the end; a process that takes too long is killed.
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
