//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/govern"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// measureRights measures what rights cost: 1,000 grants of 100 tokens, against the same server
// without.
func measureRights(s settings, r *report) error {
	for _, measure := range []func(settings, *report) error{rightsReads, rightsPolls, rightsFlood} {
		if err := measure(s, r); err != nil {
			return err
		}
	}
	return nil
}

// startGoverned starts a server with rights, and returns the secrets of its tokens.
func startGoverned() (ours *child, addr string, secrets []string, err error) {
	if ours, addr, err = spawn("governed"); err != nil {
		return nil, "", nil, err
	}
	if err = ours.do(command{Verb: "secrets"}, &secrets); err != nil {
		ours.stop()
	}
	return ours, addr, secrets, err
}

// captureAs returns the bytes that a client with each of the secrets would send in a call.
func captureAs(addr string, secrets []string, call func(diamond.Transport) error) (requests [][]byte, err error) {
	for _, secret := range secrets {
		request, err := capture(addr, call, httptransport.WithToken(secret))
		if err != nil {
			return nil, err
		}
		requests = append(requests, request)
	}
	return requests, nil
}

// rightsReads reads a value of 1 KiB over 64 connections, in turn from a server with rights, by
// 100 principals, and from one without.
func rightsReads(s settings, r *report) error {
	const connections = 64
	rounds, length := s.pick(25, 3), time.Duration(s.pick(1000, 300))*time.Millisecond
	ours, addr, secrets, err := startGoverned()
	if err != nil {
		return err
	}
	defer ours.stop()
	open, openAddr, err := spawn("server")
	if err != nil {
		return err
	}
	defer open.stop()
	for _, c := range []*child{ours, open} {
		if err := c.do(command{Verb: "publish", Key: benchKey, Data: content(0)}, nil); err != nil {
			return err
		}
	}
	governed, err := captureAs(addr, secrets, fetchCall)
	if err != nil {
		return err
	}
	plain, err := capture(openAddr, fetchCall)
	if err != nil {
		return err
	}
	var loads [2]*child
	var rates [2][]float64
	commands := [2]command{{Verb: "hammer", Many: governed, For: length}, {Verb: "hammer", Data: plain, For: length}}
	for i, at := range []string{addr, openAddr} {
		if loads[i], _, err = spawn("load"); err != nil {
			return err
		}
		defer loads[i].stop()
		if err := loads[i].do(command{Verb: "dial", Addr: at, N: connections}, nil); err != nil {
			return err
		}
	}
	for round := -1; round < rounds; round++ { // the first warms up
		for i, load := range loads {
			var h hammered
			if err := load.do(commands[i], &h); err != nil {
				return err
			}
			if round >= 0 {
				rates[i] = append(rates[i], float64(h.Answers)/length.Seconds())
			}
		}
	}
	r.against("without", "reads", "answers/s", rates[0], rates[1], atLeast(0.9))
	return nil
}

// rightsPolls parks 10,000 polls of 100 principals, and as many at a server without rights, and
// then takes the right of some of the principals.
func rightsPolls(s settings, r *report) error {
	clients, rounds := s.pick(10_000, 1000), s.pick(3, 1)
	var more []float64
	var took, redecided []float64
	for range rounds {
		open, err := newField("server", native, clients)
		if err != nil {
			return err
		}
		without, err := weighParked(open)
		open.close()
		if err != nil {
			return err
		}
		f, secrets, err := governedField(clients)
		if err != nil {
			return err
		}
		with, err := weighParked(f)
		for token := range min(5, len(secrets)) {
			if err != nil {
				break
			}
			var change revoked
			err = f.server.do(command{Verb: "revoke", N: token, Entries: clients / rightsTokens, For: 200 * time.Millisecond}, &change)
			took, redecided = append(took, millis(change.Took)), append(redecided, float64(change.Redecided))
		}
		f.close()
		if err != nil {
			return err
		}
		more = append(more, 1024*(with-without))
	}
	r.value("parked polls", "more bytes of RSS a poll than without rights", median(more), atMost(1024))
	r.value("a right is taken", fmt.Sprintf("ms until its polls were decided about again (longest %s)", number(quantile(took, 1))), median(took), atMost(50))
	each := float64(clients / rightsTokens)
	r.value("decided about again", fmt.Sprintf("polls of one principal, of %d", clients), quantile(redecided, 1), goal{each, each})
	return nil
}

// weighParked parks the clients of a field, and returns the memory of each after a collection, in
// KiB.
func weighParked(f *field) (float64, error) {
	before, err := f.server.rss()
	if err == nil {
		_, err = f.parkAndWeigh(before)
	}
	if err != nil {
		return 0, err
	}
	return f.collectAndWeigh(before)
}

// governedField returns a field whose server has rights. Its clients are 100 principals.
func governedField(clients int) (f *field, secrets []string, err error) {
	f = &field{protocol: native, clients: clients}
	if f.server, f.addr, secrets, err = startGoverned(); err != nil {
		return nil, nil, err
	}
	var p published
	err = f.server.do(command{Verb: "publish", Key: benchKey, Data: content(0)}, &p)
	if err == nil {
		f.load, _, err = spawn("load")
	}
	for _, secret := range secrets {
		if err == nil {
			err = introduce(f.addr, httptransport.WithToken(secret))
		}
	}
	if err == nil {
		f.requests, err = captureAs(f.addr, secrets, pollCall(p))
	}
	if err != nil {
		f.close()
		return nil, nil, err
	}
	return f, secrets, nil
}

// rightsFlood measures the p99 of reads beside wrong tokens at full rate, and beside as many
// requests for /livez.
func rightsFlood(s settings, r *report) error {
	const readers, flooders = 8, 64
	rounds, length := s.pick(15, 2), time.Duration(s.pick(2000, 500))*time.Millisecond
	ours, addr, secrets, err := startGoverned()
	if err != nil {
		return err
	}
	defer ours.stop()
	if err := ours.do(command{Verb: "publish", Key: benchKey, Data: content(0)}, nil); err != nil {
		return err
	}
	reads, err := captureAs(addr, secrets, fetchCall)
	if err != nil {
		return err
	}
	livez := fmt.Appendf(nil, "GET /livez HTTP/1.1\r\nHost: %s\r\n\r\n", addr)
	unknown := make([]string, 1000)
	for i := range unknown {
		unknown[i] = govern.NewTokenSecret()
	}
	for _, wrong := range []struct {
		name    string
		secrets []string
	}{{"unknown", unknown}, {"malformed", []string{"garbage"}}} {
		requests, err := captureAs(addr, wrong.secrets, fetchCall)
		if err != nil {
			return err
		}
		reader, flooder, err := twoLoads(addr, readers, flooders)
		if err != nil {
			return err
		}
		var p99 [2][]float64
		var rates []float64
		for round := -1; round < rounds; round++ {
			var rate float64
			for i, flood := range []command{
				{Verb: "flood", Many: requests, Status: 401, For: length},
				{Verb: "flood", Data: livez, Status: 200, For: length},
			} {
				if i > 0 {
					flood.Rate = rate
				}
				h, answers, err := beside(reader, flooder, command{Verb: "hammer", Many: reads, For: length}, flood)
				if err != nil {
					return errors.Join(err, stopAll(reader, flooder))
				}
				if i == 0 {
					rate = float64(answers) / length.Seconds()
				}
				if round >= 0 {
					p99[i] = append(p99[i], millis(h.P99))
					rates = append(rates, float64(answers)/length.Seconds())
				}
			}
		}
		_ = stopAll(reader, flooder)
		r.against("/livez", "reads beside "+wrong.name+" tokens", fmt.Sprintf("ms p99 beside %s requests/s", number(median(rates))), p99[0], p99[1], atMost(1.2))
	}
	return nil
}

// twoLoads starts two processes of clients.
func twoLoads(addr string, readers, flooders int) (reader, flooder *child, err error) {
	if reader, _, err = spawn("load"); err != nil {
		return nil, nil, err
	}
	if flooder, _, err = spawn("load"); err != nil {
		reader.stop()
		return nil, nil, err
	}
	err = reader.do(command{Verb: "dial", Addr: addr, N: readers}, nil)
	if err == nil {
		err = flooder.do(command{Verb: "dial", Addr: addr, N: flooders}, nil)
	}
	if err != nil {
		return nil, nil, errors.Join(err, stopAll(reader, flooder))
	}
	return reader, flooder, nil
}

func stopAll(children ...*child) error {
	for _, c := range children {
		c.stop()
	}
	return nil
}

// beside runs two commands at once.
func beside(reader, flooder *child, read, flood command) (h hammered, answers int, err error) {
	if err := errors.Join(flooder.send(flood), reader.send(read)); err != nil {
		return h, 0, err
	}
	var flooded hammered
	err = errors.Join(reader.receive(&h), flooder.receive(&flooded))
	return h, flooded.Answers, err
}

// fetchCall reads benchKey.
func fetchCall(t diamond.Transport) error {
	_, err := t.Fetch(context.Background(), &conf.FetchRequest{Client: info(), Key: diamond.NewKey("", benchKey)})
	return err
}

// pollCall waits for a change after the publish p.
func pollCall(p published) func(t diamond.Transport) error {
	return func(t diamond.Transport) error {
		_, err := t.Poll(context.Background(), &conf.PollRequest{
			Client: info(), Set: conf.HashKeys(benchSet()), Position: p.Position, Wait: conf.MaxWait,
		})
		return err
	}
}
