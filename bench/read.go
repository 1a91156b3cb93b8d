//go:build linux

package main

import (
	"fmt"
	"time"
)

// measureRead reads a value of 1 KiB over 64 keep-alive connections, by the native and the original
// protocol. The bare server writes the same bytes with the same headers.
func measureRead(s settings, r *report) error {
	const connections = 64
	rounds, length := s.pick(25, 3), time.Duration(s.pick(1000, 300))*time.Millisecond

	ours, addr, err := spawn("server")
	if err != nil {
		return err
	}
	defer ours.stop()
	if err := ours.do(command{Verb: "publish", Key: benchKey, Data: content(0)}, nil); err != nil {
		return err
	}
	for _, protocol := range protocols {
		request, err := protocol.fetch(addr)
		if err != nil {
			return err
		}
		answers, err := compareReads(ours, addr, request, connections, rounds, length)
		if err != nil {
			return fmt.Errorf("%s: %w", protocol.name, err)
		}
		r.ratio(protocol.name, "answers/s", answers[0], answers[1], atLeast(0.85))
	}
	return nil
}

// compareReads alternates between our server and a bare one, and returns the rates of both.
func compareReads(ours *child, addr string, request []byte, connections, rounds int, length time.Duration) (rates [2][]float64, err error) {
	answer, err := exchange(addr, request)
	if err != nil {
		return rates, err
	}
	bare, bareAddr, err := spawn("bare")
	if err != nil {
		return rates, err
	}
	defer bare.stop()
	if err := bare.do(answer.as("answer"), nil); err != nil {
		return rates, err
	}
	if err := sameAnswer(answer, bareAddr, request); err != nil {
		return rates, err
	}
	var loads [2]*child
	for i, at := range []string{addr, bareAddr} {
		if loads[i], _, err = spawn("load"); err != nil {
			return rates, err
		}
		defer loads[i].stop()
		if err := loads[i].do(command{Verb: "dial", Addr: at, N: connections}, nil); err != nil {
			return rates, err
		}
	}
	for round := -1; round < rounds; round++ { // the first warms up
		for i, load := range loads {
			var h hammered
			if err := load.do(command{Verb: "hammer", Data: request, For: length}, &h); err != nil {
				return rates, err
			}
			if round >= 0 {
				rates[i] = append(rates[i], float64(h.Answers)/length.Seconds())
			}
		}
	}
	return rates, nil
}
