//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// command is one line to a child process. Each verb uses the fields that it needs.
type command struct {
	Verb    string
	Addr    string        `json:",omitempty"`
	Key     string        `json:",omitempty"`
	N       int           `json:",omitempty"`
	Entries int           `json:",omitempty"`
	For     time.Duration `json:",omitempty"`
	Data    []byte        `json:",omitempty"`
	Head    []header      `json:",omitempty"`
	Many    [][]byte      `json:",omitempty"` // requests that are sent in turn, in the place of Data
	Status  int           `json:",omitempty"` // of the answers; 0: 200
	Rate    float64       `json:",omitempty"` // requests a second; 0: as many as are answered
}

type header struct{ Name, Value string }

// reply is the answer to a command.
type reply struct {
	Err   string          `json:",omitempty"`
	Value json.RawMessage `json:",omitempty"`
}

// child is another process of this program.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// spawn starts a child in a role, and waits for its first line, which says that it is ready.
func spawn(role string, args ...string) (*child, string, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(exe, append([]string{"-role", role, "--"}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	c := &child{cmd, in, bufio.NewReader(out)}
	var ready string
	if err := c.receive(&ready); err != nil {
		c.stop()
		return nil, "", fmt.Errorf("%s did not start: %w", role, err)
	}
	return c, ready, nil
}

// do sends a command and decodes the answer into value, which may be nil.
func (c *child) do(cmd command, value any) error {
	if err := c.send(cmd); err != nil {
		return err
	}
	return c.receive(value)
}

func (c *child) send(cmd command) error {
	line, err := json.Marshal(cmd)
	if err != nil {
		return err
	}
	_, err = c.in.Write(append(line, '\n'))
	return err
}

func (c *child) receive(value any) error {
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the process ended: %w", err)
	}
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	if r.Err != "" {
		return errors.New(r.Err)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(r.Value, value)
}

// stop ends the child by closing its stdin.
func (c *child) stop() {
	c.in.Close()
	c.cmd.Wait()
}

// rss returns the resident memory of the child in bytes.
func (c *child) rss() (float64, error) { return statusField(c.cmd.Process.Pid, "VmRSS") }

// cpu returns the processor time that the child has used.
func (c *child) cpu() (time.Duration, error) { return cpuOf(c.cmd.Process.Pid) }

func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is a name in parentheses with any characters.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const utime, stime, hertz = 11, 12, 100
	var ticks int64
	for _, f := range []int{utime, stime} {
		n, err := strconv.ParseInt(string(fields[f]), 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / hertz, nil
}

// statusField reads a size from /proc/PID/status, in bytes.
func statusField(pid int, name string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/%d/status", name, pid)
}

// obey runs in the child: it reports that it is ready, and answers commands until stdin ends.
func obey(ready string, verbs map[string]func(command) (any, error)) error {
	out := json.NewEncoder(os.Stdout)
	answer := func(value any, err error) error {
		if err != nil {
			return out.Encode(reply{Err: err.Error()})
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		return out.Encode(reply{Value: raw})
	}
	if err := answer(ready, nil); err != nil {
		return err
	}
	in := json.NewDecoder(os.Stdin)
	for {
		var cmd command
		if err := in.Decode(&cmd); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		verb, ok := verbs[cmd.Verb]
		if !ok {
			return fmt.Errorf("no verb %q", cmd.Verb)
		}
		if err := answer(verb(cmd)); err != nil {
			return err
		}
	}
}
