//go:build linux

package main

import "fmt"

// measureFanout changes one key that many clients wait for, and measures when each of them holds
// the new content. The clients are raw sockets in a separate process, the same for our server
// and the bare one. The bare server reads the request's body and wakes as many requests with the
// same answer.
func measureFanout(s settings, r *report) error {
	for _, clients := range []int{1000, s.pick(10_000, 2000)} {
		ours, bare, err := compareFanouts(clients, s.pick(9, 3))
		if err != nil {
			return fmt.Errorf("%d clients: %w", clients, err)
		}
		r.ratio(fmt.Sprintf("p99 of %d clients", clients), "ms", ours, bare, atMost(1.5))
	}
	return measureBystanders(s.pick(10_000, 2000), r)
}

// compareFanouts alternates between our server and the bare one, and returns the p99 of each
// round in milliseconds.
func compareFanouts(clients, rounds int) (ours, bare []float64, err error) {
	a, err := newField("server", native, clients)
	if err != nil {
		return nil, nil, err
	}
	defer a.close()
	b, err := newField("bare", native, clients)
	if err != nil {
		return nil, nil, err
	}
	defer b.close()

	for round := 1; round <= rounds+1; round++ { // the first warms up
		b.request = a.request
		if err := a.park(); err != nil {
			return nil, nil, err
		}
		mine, err := a.change(round, nil)
		if err != nil {
			return nil, nil, err
		}
		if err := b.park(); err != nil {
			return nil, nil, err
		}
		theirs, err := b.change(round, &mine.answer)
		if err != nil {
			return nil, nil, err
		}
		if round > 1 {
			ours = append(ours, millis(mine.p99()))
			bare = append(bare, millis(theirs.p99()))
		}
	}
	return ours, bare, nil
}

// measureBystanders changes a key while many clients wait for another one. None of them may be
// woken.
func measureBystanders(clients int, r *report) error {
	f, err := newField("server", native, clients)
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.park(); err != nil {
		return err
	}
	var before, after counts
	if err := f.server.do(command{Verb: "counts"}, &before); err != nil {
		return err
	}
	const changes = 100
	for i := range changes {
		if err := f.server.do(command{Verb: "publish", Key: "other." + benchKey, Data: content(i)}, nil); err != nil {
			return err
		}
	}
	if err := f.server.do(command{Verb: "counts"}, &after); err != nil {
		return err
	}
	if after.Waiters != clients {
		return fmt.Errorf("%d of %d clients wait on", after.Waiters, clients)
	}
	r.value(fmt.Sprintf("%d waiting for other keys", clients), fmt.Sprintf("wake-ups in %d changes", changes),
		float64(after.Wakeups-before.Wakeups), atMost(0))
	return nil
}
