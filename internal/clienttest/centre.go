package clienttest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// Centre is a server for tests of clients. It keeps values in memory, answers as the
// contract of Transport says, records requests, and misbehaves when a test tells it to.
type Centre struct {
	Mu      sync.Mutex
	At      conf.Position
	Entries map[conf.Key]conf.Entry
	touched map[conf.Key]int64 // revision of the last change, deletions too
	Sets    map[conf.KeySetHash][]conf.Key
	changed chan struct{} // closed at each change
	Inline  int           // bytes of content that a poll carries
	denied  map[conf.Key]bool

	Polls   []conf.PollRequest
	Fetches map[conf.Key]int
	reports []conf.Report
	Commits []conf.ChangeSet

	// Each is called first if it is not nil, without mu held. If it returns an answer or
	// an error, that is the outcome.
	OnPoll    func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error)
	OnFetch   func(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error)
	OnCommit  func(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error)
	OnChanges func(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error)
	OnReport  func(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error)
	// tamper, if not nil, may change the answers of Fetch.
	Tamper func(*conf.FetchResponse)
}

var _ diamond.Transport = (*Centre)(nil)

// NewCentre returns a centre without values.
func NewCentre() *Centre {
	return &Centre{
		At:      conf.Position{Store: conf.StoreID{1}, Epoch: conf.Epoch{Generation: 1, ID: [16]byte{1}}},
		Entries: make(map[conf.Key]conf.Entry),
		touched: make(map[conf.Key]int64),
		Sets:    make(map[conf.KeySetHash][]conf.Key),
		changed: make(chan struct{}),
		Inline:  conf.InlineContent,
		denied:  make(map[conf.Key]bool),
		Fetches: make(map[conf.Key]int),
	}
}

// Set publishes a value and returns its revision.
func (c *Centre) Set(key conf.Key, content string) int64 {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	c.step(map[conf.Key]*string{key.Canonical(): &content})
	return c.At.Revision
}

// SetTyped publishes a value with a type.
func (c *Centre) SetTyped(key conf.Key, typ, content string) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	c.step(map[conf.Key]*string{key: &content})
	e := c.Entries[key]
	e.Type = typ
	c.Entries[key] = e
}

// SetAll publishes values in one change set.
func (c *Centre) SetAll(contents map[conf.Key]string) int64 {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	all := make(map[conf.Key]*string)
	for key, content := range contents {
		all[key.Canonical()] = &content
	}
	c.step(all)
	return c.At.Revision
}

// Remove deletes a key.
func (c *Centre) Remove(key conf.Key) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	c.step(map[conf.Key]*string{key.Canonical(): nil})
}

func (c *Centre) step(contents map[conf.Key]*string) {
	c.At.Revision++
	c.At.Chain[0]++
	for key, content := range contents {
		c.touched[key] = c.At.Revision
		if content == nil {
			delete(c.Entries, key)
			continue
		}
		c.Entries[key] = conf.Entry{
			Key: key, Content: *content, Type: conf.TypeOf(key.DataID), MD5: conf.MD5Hex(*content), Size: int64(len(*content)),
			Revision: c.At.Revision, View: c.At.Revision,
		}
	}
	c.Announce()
}

// Announce ends the wait of parked polls. Mu must be held.
func (c *Centre) Announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Deny refuses key to everybody, or no longer.
func (c *Centre) Deny(key conf.Key, refused bool) {
	c.With(func() {
		c.denied[key.Canonical()] = refused
		c.Announce()
	})
}

// Fork begins a new epoch in which the changes above revision are lost.
func (c *Centre) Fork(revision int64) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	for key, e := range c.Entries {
		if e.Revision > revision {
			delete(c.Entries, key)
		}
	}
	c.At.Epoch.Generation++
	c.At.Epoch.ID[0]++
	c.At.Revision++
	clear(c.touched)
	clear(c.Sets)
	c.Announce()
}

// With calls f with Mu held.
func (c *Centre) With(f func()) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	f()
}

// Position returns the newest position.
func (c *Centre) Position() (at conf.Position) {
	c.With(func() { at = c.At })
	return at
}

// Fail makes every call fail with err, or succeed again if err is nil.
func (c *Centre) Fail(err error) {
	c.With(func() {
		c.OnPoll, c.OnFetch, c.OnCommit, c.OnReport, c.OnChanges = nil, nil, nil, nil, nil
		if err == nil {
			return
		}
		c.OnPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) { return nil, err }
		c.OnFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) { return nil, err }
		c.OnCommit = func(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) { return nil, err }
		c.OnReport = func(context.Context, *conf.ReportRequest) (*conf.ReportResponse, error) { return nil, err }
		c.OnChanges = func(context.Context, *conf.ChangesRequest) (*conf.ChangesResponse, error) { return nil, err }
		c.Announce() // ends parked polls
	})
}

// FailFetches makes fetches of keys, or of all keys if none is given, fail with err, or
// succeed again if err is nil.
func (c *Centre) FailFetches(err error, keys ...conf.Key) {
	c.With(func() {
		if c.OnFetch = nil; err == nil {
			return
		}
		c.OnFetch = func(_ context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
			if len(keys) == 0 || slices.Contains(keys, req.Key) {
				return nil, err
			}
			return nil, nil
		}
	})
}

// Hang makes every call hang until its context ends.
func (c *Centre) Hang() {
	c.With(func() {
		c.OnPoll = func(ctx context.Context, _ *conf.PollRequest) (*conf.PollResponse, error) {
			return nil, Ended(ctx)
		}
		c.OnFetch = func(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
			return nil, Ended(ctx)
		}
		c.OnCommit = func(ctx context.Context, _ *conf.CommitRequest) (*conf.CommitResponse, error) {
			return nil, Ended(ctx)
		}
		c.OnReport = func(ctx context.Context, _ *conf.ReportRequest) (*conf.ReportResponse, error) {
			return nil, Ended(ctx)
		}
		c.OnChanges = func(ctx context.Context, _ *conf.ChangesRequest) (*conf.ChangesResponse, error) {
			return nil, Ended(ctx)
		}
		c.Announce()
	})
}

// Ended waits for the end of ctx and returns its error.
func Ended(ctx context.Context) error {
	<-ctx.Done()
	return &conf.Error{Err: ctx.Err()}
}

// ErrDown is the error of a server that cannot be reached.
var ErrDown = &conf.Error{Err: conf.ErrUnavailable, Detail: "connection refused"}

// PollCount returns how many polls there were.
func (c *Centre) PollCount() (n int) {
	c.With(func() { n = len(c.Polls) })
	return n
}

// LastPoll returns the newest poll.
func (c *Centre) LastPoll() (req conf.PollRequest) {
	c.With(func() { req = c.Polls[len(c.Polls)-1] })
	return req
}

// FetchCount returns how many fetches of key there were.
func (c *Centre) FetchCount(key conf.Key) (n int) {
	c.With(func() { n = c.Fetches[key.Canonical()] })
	return n
}

// Reported returns all reports so far.
func (c *Centre) Reported() (out []conf.Report) {
	c.With(func() { out = append(out, c.reports...) })
	return out
}

// Fetch implements [diamond.Transport].
func (c *Centre) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	c.Mu.Lock()
	c.Fetches[req.Key.Canonical()]++
	hook := c.OnFetch
	c.Mu.Unlock()
	if hook != nil {
		if resp, err := hook(ctx, req); resp != nil || err != nil {
			return resp, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, &conf.Error{Err: err}
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	if c.At.Compare(req.After) < 0 {
		return nil, &conf.Error{Err: conf.ErrBehind, Remote: true}
	}
	if c.denied[req.Key.Canonical()] {
		return nil, &conf.Error{Op: "fetch", Key: req.Key, Err: conf.ErrDenied, Remote: true}
	}
	e, ok := c.Entries[req.Key.Canonical()]
	if req.Revision > 0 && (!ok || e.Revision != req.Revision) {
		return nil, &conf.Error{Err: conf.ErrNotFound, Remote: true}
	}
	resp := &conf.FetchResponse{Found: ok, Entry: e, Position: c.At}
	if c.Tamper != nil {
		c.Tamper(resp)
	}
	return resp, nil
}

// Poll implements [diamond.Transport].
func (c *Centre) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	c.Mu.Lock()
	c.Polls = append(c.Polls, *req)
	hook := c.OnPoll
	c.Mu.Unlock()
	if hook != nil {
		if resp, err := hook(ctx, req); resp != nil || err != nil {
			return resp, err
		}
	}
	timer := time.NewTimer(req.Wait)
	defer timer.Stop()
	for waited := req.Wait == 0; ; {
		c.Mu.Lock()
		if cut := c.OnPoll; cut != nil && hook == nil {
			c.Mu.Unlock()
			hook = cut // the fault began while the poll was parked
			if resp, err := cut(ctx, req); resp != nil || err != nil {
				return resp, err
			}
			continue
		}
		resp, err := c.Compare(req)
		changed := c.changed
		c.Mu.Unlock()
		if err != nil {
			return nil, err
		}
		if waited || resp.Resync || len(resp.Changed)+len(resp.Denied) > 0 {
			return resp, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			waited = true
		case <-ctx.Done():
			return nil, &conf.Error{Err: ctx.Err()}
		}
	}
}

// Compare returns the keys whose state is not the held one. The caller holds mu.
func (c *Centre) Compare(req *conf.PollRequest) (*conf.PollResponse, error) {
	if req.Keys != nil {
		c.Sets[req.Set] = req.Keys
	}
	keys, ok := c.Sets[req.Set]
	known := !req.Position.IsZero()
	if !ok || (known && req.Position.Epoch != c.At.Epoch) {
		return &conf.PollResponse{Resync: true}, nil
	}
	held := make(map[conf.Key]conf.Held)
	for _, h := range req.Held {
		if !slices.Contains(keys, h.Key) {
			return nil, &conf.Error{Err: conf.ErrInvalid, Detail: "held: a key that is not in the set", Remote: true}
		}
		held[h.Key] = h
	}
	resp := &conf.PollResponse{Position: c.At}
	for _, key := range keys {
		if c.denied[key] {
			resp.Denied = append(resp.Denied, conf.Denial{Key: key, Detail: "not for you"})
			continue
		}
		e := c.Entries[key]
		h, told := held[key]
		if !told && known && c.touched[key] <= req.Position.Revision {
			continue
		}
		if (told || !known) && h.Revision == e.Revision && h.MD5 == e.MD5 {
			continue
		}
		ks := conf.KeyState{Key: key, Revision: e.Revision, View: e.View, MD5: e.MD5}
		if e.Revision > 0 && len(e.Content) <= c.Inline {
			ks.Entry = &e
		}
		resp.Changed = append(resp.Changed, ks)
	}
	return resp, nil
}

// Commit implements [diamond.Transport].
func (c *Centre) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	c.Mu.Lock()
	c.Commits = append(c.Commits, req.Set)
	hook := c.OnCommit
	c.Mu.Unlock()
	if hook != nil {
		if resp, err := hook(ctx, req); resp != nil || err != nil {
			return resp, err
		}
	}
	set := req.Set.Canonical()
	if err := set.Validate(conf.DefaultMaxContent); err != nil {
		return nil, err
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	contents := make(map[conf.Key]*string)
	for i := range set.Drafts {
		contents[set.Drafts[i].Key] = &set.Drafts[i].Content
	}
	for i := range set.Deletes {
		if _, ok := c.Entries[set.Deletes[i].Key]; !ok {
			return nil, &conf.Error{Err: conf.ErrNotFound, Remote: true}
		}
		contents[set.Deletes[i].Key] = nil
	}
	c.step(contents)
	return &conf.CommitResponse{Position: c.At}, nil
}

// Changes implements [diamond.Transport].
func (c *Centre) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	c.Mu.Lock()
	hook := c.OnChanges
	c.Mu.Unlock()
	if hook == nil {
		return nil, errors.New("not part of this fake")
	}
	return hook(ctx, req)
}

// List implements [diamond.Transport].
func (c *Centre) List(ctx context.Context, _ *conf.ListRequest) (*conf.ListResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, &conf.Error{Err: err}
	}
	return &conf.ListResponse{Position: c.Position()}, nil
}

// History implements [diamond.Transport].
func (c *Centre) History(ctx context.Context, _ *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	return &conf.HistoryResponse{}, ctx.Err()
}

// Report implements [diamond.Transport].
func (c *Centre) Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	c.Mu.Lock()
	hook := c.OnReport
	c.Mu.Unlock()
	if hook != nil {
		if resp, err := hook(ctx, req); resp != nil || err != nil {
			return resp, err
		}
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	c.reports = append(c.reports, req.Reports...)
	return &conf.ReportResponse{}, nil
}

// Describe publishes the value that key has with another type and other metadata.
func (c *Centre) Describe(key conf.Key, typ string, meta map[string]string) int64 {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	content := c.Entries[key].Content
	c.step(map[conf.Key]*string{key: &content})
	e := c.Entries[key]
	e.Type, e.Meta = typ, meta
	c.Entries[key] = e
	return c.At.Revision
}

// ChangedSince returns a channel that is closed at the next change, or when ctx ends.
func (c *Centre) ChangedSince(ctx context.Context) <-chan struct{} {
	c.Mu.Lock()
	changed := c.changed
	c.Mu.Unlock()
	out := make(chan struct{})
	go func() {
		select {
		case <-changed:
		case <-ctx.Done():
		}
		close(out)
	}()
	return out
}

// AsksFor records from now on when polls name key.
func (c *Centre) AsksFor(key conf.Key) (asked func() []time.Time) {
	var asks []time.Time
	c.With(func() {
		c.OnPoll = func(_ context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
			if slices.Contains(req.Keys, key) {
				c.With(func() { asks = append(asks, time.Now()) })
			}
			return nil, nil
		}
	})
	return func() (out []time.Time) {
		c.With(func() { out = slices.Clone(asks) })
		return out
	}
}

// Slow makes c answer each fetch after d.
func (c *Centre) Slow(d time.Duration) {
	c.With(func() {
		c.OnFetch = func(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
			select {
			case <-time.After(d):
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	})
}
