//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// pulseEvery is the pause between two publishes of the watched key.
const pulseEvery = 3 * time.Millisecond

var pulseKey = diamond.NewKey("", "pulse")

// phase is the cost of a step, and its effect on others.
type phase struct {
	Took  time.Duration
	Bytes float64 // of memory a key, or 0 if not measured
	// Feed is the time from the storage's commit until a poll has the value. It shows how
	// long the feed was blocked or busy.
	Feed    spans
	Publish spans // from a publish until the poll has it, the storage's time included
	Read    spans
}

// spans is a summary of times.
type spans struct {
	N             int
	P50, P99, Max time.Duration
}

func (l spans) String() string {
	return fmt.Sprintf("%s ms, p99 %s, longest of %d %s", number(millis(l.P50)), number(millis(l.P99)), l.N, number(millis(l.Max)))
}

func summary(times []time.Duration) spans {
	if len(times) == 0 {
		return spans{}
	}
	return spans{len(times), median(times), quantile(times, 0.99), slices.Max(times)}
}

// timedStorage records when a set with the pulse's key was committed, and when the first scan
// began.
type timedStorage struct {
	diamond.Storage
	committed chan time.Time // capacity 1
	scanned   atomic.Pointer[time.Time]
}

func (s *timedStorage) Commit(ctx context.Context, sets []diamond.ChangeSet) ([]conf.Result, error) {
	results, err := s.Storage.Commit(ctx, sets)
	now := time.Now()
	for i := range sets {
		if len(sets[i].Drafts) == 1 && sets[i].Drafts[0].Key == pulseKey {
			s.committed <- now
		}
	}
	return results, err
}

func (s *timedStorage) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	now := time.Now()
	s.scanned.CompareAndSwap(nil, &now)
	return s.Storage.Scan(ctx, req)
}

// during runs a step, and meanwhile publishes, polls and reads, each at least once.
func (n *scaled) during(step func() error) (p phase, err error) {
	ended := make(chan error, 1)
	go func() { ended <- step() }()
	var feed, publish, read []time.Duration
	position := n.srv.Status().Position
	for done := false; !done; time.Sleep(pulseEvery) {
		select {
		case err := <-ended:
			if err != nil {
				return p, err
			}
			done = true
		default:
		}
		begun := time.Now()
		if _, err := n.srv.Fetch(context.Background(), &conf.FetchRequest{Key: pulseKey}); err != nil {
			return p, err
		}
		read = append(read, time.Since(begun))
		var seen time.Time
		begun = time.Now()
		if position, seen, err = n.pulse(position); err != nil {
			return p, err
		}
		publish, feed = append(publish, seen.Sub(begun)), append(feed, seen.Sub(<-n.storage.committed))
	}
	return phase{n.took, n.bytes, summary(feed), summary(publish), summary(read)}, nil
}

// pulse publishes once, and returns when a waiting poll has the value.
func (n *scaled) pulse(from diamond.Position) (at diamond.Position, seen time.Time, err error) {
	ctx, keys := context.Background(), []diamond.Key{pulseKey}
	polled := make(chan error, 1)
	parked := make(chan struct{})
	go func() {
		resp, err := n.srv.Poll(ctx, &conf.PollRequest{
			Set: conf.HashKeys(keys), Keys: keys, Position: from, Wait: conf.MaxWait,
			Parked: func() { close(parked) },
		})
		seen = time.Now()
		if err == nil && len(resp.Changed) != 1 {
			err = fmt.Errorf("a poll has %d changes", len(resp.Changed))
		}
		if err == nil {
			at = resp.Position
		}
		polled <- err
	}()
	select {
	case <-parked:
	case err := <-polled:
		return at, seen, errors.Join(errors.New("a poll has ended before the publish"), err)
	}
	if _, err := n.srv.Commit(ctx, &conf.CommitRequest{Set: diamond.ChangeSet{
		Drafts: []diamond.Draft{{Key: pulseKey, Content: time.Now().String()}},
	}}); err != nil {
		return at, seen, err
	}
	err = <-polled
	return at, seen, err
}
