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

// benchKey is the data id of the requests.
const benchKey = "bench.conf"

// contentSize is the size of every value in these measurements.
const contentSize = 1 << 10

// marker returns the unique start of the content of a round.
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

// answer is one HTTP answer with its raw bytes.
type answer struct {
	header http.Header
	body   []byte
}

// exchange sends request on a new connection.
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

// readAnswer reads one successful answer.
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

// as returns the command that makes a bare server write the same answer. net/http adds the date in
// both.
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

// sameAnswer checks that the server at addr sends the same answer as a, because a baseline that
// sends less would not be comparable.
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
