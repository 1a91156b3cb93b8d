package diamond

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/backoff"
	"github.com/linnaname/gdiamond/internal/follower"
)

const (
	// catchUpTimeout is the time for the changes that were made during a list, if the
	// caller has set no deadline.
	catchUpTimeout = 10 * time.Second
	// answerPatience is how long a watch may be silent before a [Mirror] counts as old.
	answerPatience = 40 * time.Second
	// refusedPause is the shortest pause before a [Mirror] asks again after servers have
	// refused its filter, or it is too large. The longest is twice as long.
	refusedPause = 30 * time.Second
	// maxLists is how often [Follow] lists the entries at most, if history is lost or
	// compacted meanwhile.
	maxLists = 3
)

// Follow keeps all entries that filter selects in memory, as of one position. It returns
// when it has the present state: after a list of the entries, and the changes made
// meanwhile. It uses ctx only for waiting. Without a deadline, each of its requests has the
// Call of [Timeouts], and the changes made meanwhile have 10 s. A Mirror lives until its
// Close, or until the client is closed.
//
// A Mirror has what is published. Unlike Get it reads no overrides and keeps no
// snapshots, so Follow fails while no server can be reached; a program that must start
// without servers binds its keys by name. And unlike Get it does not keep the last value
// of a key that the store has lost: it equals the store as of its position. It holds at
// most 100,000 entries ([MaxPollKeys]) and 256 MiB of contents.
//
// If servers begin to refuse the filter to this client, that is no deletion: the last
// state stays and [Mirror.Err] is ErrDenied. The Mirror asks again every 30 to 60 s, and
// when it is allowed it continues from its position, so the callbacks miss no change.
// The same holds for ErrUnauthenticated, but the Mirror asks again sooner.
//
// Errors: ErrUnavailable, ErrBehind, ErrTooLarge if there is more than a Mirror holds,
// ErrDenied, ErrUnauthenticated, ErrInvalid for filter, ErrOtherStore, ErrCompacted or ErrEpoch if history is
// lost again and again while the entries are listed, ErrClosed, or the error of ctx.
// After an error nothing goes on.
func Follow(ctx context.Context, c Client, filter Filter) (*Mirror, error) {
	m := &Mirror{
		client: c, filter: filter, ended: make(chan struct{}),
		callbacks: make(map[*updateCallback]bool), watchers: make(map[*errorCallback]bool),
	}
	asked := follower.Asked{Log: slog.New(slog.DiscardHandler), Live: context.Background()}
	ctx = follower.Ask(ctx, &asked)
	var pause backoff.Backoff
	for lists := 1; ; lists++ {
		var err error
		if m.entries, err = m.list(ctx); err == nil {
			break
		}
		if !historyLost(err) || lists == maxLists || pause.Wait(ctx, 0) != nil {
			return nil, conf.WithOp("follow", Key{}, err)
		}
	}
	m.log = asked.Log
	live, stop := context.WithCancel(asked.Live)
	m.stop = stop
	go m.run(live)
	return m, nil
}

// historyLost reports whether err says that the changes after a position are not known.
func historyLost(err error) bool {
	return errors.Is(err, ErrCompacted) || errors.Is(err, ErrEpoch)
}

// refused reports whether err stays the same until somebody does something about it.
func refused(err error) bool {
	return errors.Is(err, ErrOtherStore) || errors.Is(err, ErrDenied) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrTooLarge)
}

// run keeps m up to date until ctx ends, which it does too when the client is closed.
func (m *Mirror) run(ctx context.Context) {
	defer close(m.ended)
	defer func() {
		if errors.Is(context.Cause(ctx), ErrClosed) {
			m.end(&Error{Op: "follow", Err: ErrClosed})
		}
	}()
	defer m.client.OnError(func(err error) {
		if reasonOf(err) != nil { // else it is about snapshots, or about lost history, which the watch tells
			m.fail(err, true)
		}
	})()
	var pause backoff.Backoff
	var lost error // why the entries must be listed again, or nil
	for {
		var err error
		if lost != nil {
			err = m.listAgain(ctx, errors.Is(lost, ErrTooLarge))
		}
		if err == nil {
			lost = nil
			err = m.watch(ctx, &pause)
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrClosed):
			m.end(err)
			return
		case historyLost(err) && lost == nil:
			lost = err
			_ = pause.Wait(ctx, 0) // other clients list again at the same moment
		case refused(err):
			if errors.Is(err, ErrTooLarge) {
				lost = err
			}
			m.fail(err, false)
			_ = backoff.Sleep(ctx, refusedPause+rand.N(refusedPause))
		default:
			m.fail(err, false)
			_ = pause.Wait(ctx, 0)
		}
	}
}

// watch applies the changes after the position of m, until the watch ends.
func (m *Mirror) watch(ctx context.Context, pause *backoff.Backoff) error {
	silent := time.AfterFunc(answerPatience, func() {
		if !errors.Is(m.Err(), ErrUnauthenticated) { // else servers answer, and the client has said what
			m.fail(conf.Errorf(ErrUnavailable, "no server has answered for %v", answerPatience), true)
		}
	})
	defer silent.Stop()
	m.mu.Lock()
	at := m.entries.at
	m.mu.Unlock()
	for resp, err := range m.client.Watch(ctx, m.changesAfter(at)) {
		if err == nil {
			err = m.checkChanges(resp)
		}
		if err == nil {
			err = m.advance(resp)
		}
		if err != nil {
			return err
		}
		silent.Reset(answerPatience)
		pause.Reset()
	}
	return ctx.Err()
}

// listAgain lists the entries again and makes them the state. If they were too large, it
// finds out first whether they still are, without the contents.
func (m *Mirror) listAgain(ctx context.Context, wereTooLarge bool) error {
	if wereTooLarge {
		entries, bytes := 0, int64(0)
		for e, err := range m.client.List(ctx, m.entriesWith(false)) {
			if err == nil {
				entries, bytes = entries+1, bytes+e.Size
				err = checkSize(entries, bytes)
			}
			if err != nil {
				return err
			}
		}
	}
	entries, err := m.list(ctx)
	if err == nil {
		m.replace(entries)
	}
	return err
}

// list returns the entries as of one position. Each page of a list is as of a position of
// its own, between from and to: all are newer than from, and to is the newest that the
// client has seen. With the changes after from that are newer than their entries, the
// state is complete once it has reached to.
func (m *Mirror) list(ctx context.Context) (*entrySet, error) {
	from, err := m.client.Head(ctx)
	if err != nil {
		return nil, err
	}
	entries := newEntrySet(from)
	for e, err := range m.client.List(ctx, m.entriesWith(true)) {
		if err == nil {
			err = m.checkEntry(&e)
		}
		if err == nil {
			entries.put(e, time.Now())
			err = checkSize(len(entries.configs), entries.bytes)
		}
		if err != nil {
			return nil, err
		}
	}
	to, err := m.client.Head(ctx)
	if err != nil {
		return nil, err
	}
	return entries, m.catchUp(ctx, entries, to)
}

// catchUp applies changes to entries until they are as of to. It does not wait for changes:
// a server that is behind may reach to without one that the filter selects.
func (m *Mirror) catchUp(ctx context.Context, entries *entrySet, to Position) error {
	patient, cancel := ctx, func() {}
	if _, ok := ctx.Deadline(); !ok {
		patient, cancel = context.WithTimeout(ctx, catchUpTimeout)
	}
	defer cancel()
	pause := backoff.Backoff{Base: 50 * time.Millisecond, Cap: time.Second}
	for entries.at.Compare(to) < 0 {
		for resp, err := range m.client.Watch(patient, m.changesAfter(entries.at)) {
			if err == nil {
				err = m.checkChanges(resp)
			}
			if err == nil {
				_, err = entries.advance(resp)
			}
			if err != nil {
				return err
			}
			if !resp.More || entries.at.Compare(to) >= 0 { // there may always be more
				break
			}
		}
		if entries.at.Compare(to) < 0 && pause.Wait(patient, 0) != nil {
			return tooSlow(ctx)
		}
	}
	return nil
}

// tooSlow returns why the changes made during a list have not come in time.
func tooSlow(ctx context.Context) error {
	const detail = "the changes made during the list have not come in time"
	switch err := ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Err: fmt.Errorf("%w: %w", ErrUnavailable, err), Detail: detail}
	case err != nil:
		return err
	}
	return conf.Errorf(ErrUnavailable, detail)
}

// checkEntry fails if e is not what m asks for. A content that is missing would else be an
// empty one.
func (m *Mirror) checkEntry(e *Entry) error {
	if !m.filter.Matches(e.Key) || e.Revision < 1 || e.Size != int64(len(e.Content)) {
		return conf.Errorf(ErrUnavailable, "the answer is not what was asked for, or a content is missing")
	}
	return nil
}

// checkChanges fails if the answer of a watch publishes what m does not ask for.
func (m *Mirror) checkChanges(resp *ChangesResponse) error {
	for i := range resp.Changes {
		if ch := &resp.Changes[i]; ch.Op == OpPublish {
			e := ch.Entry()
			if err := m.checkEntry(&e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Mirror) entriesWith(contents bool) ListRequest {
	return ListRequest{
		Namespace: m.filter.Namespace, Group: m.filter.Group, Prefix: m.filter.Prefix,
		Contents: contents, Limit: conf.MaxPage,
	}
}

func (m *Mirror) changesAfter(p Position) ChangesRequest {
	return ChangesRequest{
		Namespace: m.filter.Namespace, Group: m.filter.Group, Prefix: m.filter.Prefix,
		Contents: true, After: p,
	}
}
