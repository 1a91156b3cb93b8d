//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// benchKey is the data id that servers are asked for.
const benchKey = "bench.conf"

// contentSize is that of every value in these measurements.
const contentSize = 1 << 10

// marker is how the content of a round begins, and no other.
func marker(round int) string { return fmt.Sprintf("round-%06d:", round) }

// content returns the value of a round: text that does not repeat itself.
func content(round int) []byte {
	random := rand.New(rand.NewPCG(uint64(round), 1))
	b := []byte(marker(round))
	for len(b) < contentSize {
		b = append(b, "abcdefghijklmnopqrstuvwxyz0123456789=#\n"[random.IntN(39)])
	}
	return b
}

// answer is one HTTP answer as it came.
type answer struct {
	header http.Header
	body   []byte
}

// exchange sends request on a connection of its own.
func exchange(addr string, request []byte) (answer, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(request); err != nil {
		return answer{}, err
	}
	return readAnswer(conn)
}

// readAnswer reads one good answer.
func readAnswer(from io.Reader) (answer, error) {
	resp, err := http.ReadResponse(bufio.NewReader(from), nil)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return answer{resp.Header, body}, err
}

// as returns the command that has a bare server write the same answer. The
// date is net/http's own in both.
func (a answer) as(verb string) command {
	c := command{Verb: verb, Data: a.body}
	for name, values := range a.header {
		for _, v := range values {
			if name != "Date" {
				c.Head = append(c.Head, header{name, v})
			}
		}
	}
	return c
}

// sameAnswer checks that the server at addr answers as a was: a baseline that
// sends less would be none.
func sameAnswer(a answer, addr string, request []byte) error {
	b, err := exchange(addr, request)
	if err != nil {
		return err
	}
	if !bytes.Equal(a.body, b.body) || a.lines() != b.lines() {
		return fmt.Errorf("the bare server answers\n%s%d bytes, not\n%s%d bytes", b.lines(), len(b.body), a.lines(), len(a.body))
	}
	return nil
}

func (a answer) lines() string {
	var lines []string
	for _, h := range a.as("").Head {
		lines = append(lines, h.Name+": "+h.Value+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
