package diamond_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// centre is a server to test clients against: it keeps values in memory,
// answers as the contract of Transport says, notes what it is asked, and
// misbehaves when told to.
type centre struct {
	mu      sync.Mutex
	at      conf.Position
	entries map[conf.Key]conf.Entry
	touched map[conf.Key]int64 // revision of the last change, deletions too
	sets    map[conf.KeySetHash][]conf.Key
	changed chan struct{} // closed at each change
	inline  int           // bytes of content that a poll carries
	denied  map[conf.Key]bool

	polls   []conf.PollRequest
	fetches map[conf.Key]int
	reports []conf.Report
	commits []conf.ChangeSet

	// Each is called first, where it is set, without mu held; an answer or an
	// error of its own is the outcome.
	onPoll    func(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error)
	onFetch   func(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error)
	onCommit  func(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error)
	onChanges func(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error)
	onReport  func(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error)
	// tamper, where it is set, may change what Fetch answers.
	tamper func(*conf.FetchResponse)
}

var _ diamond.Transport = (*centre)(nil)

func newCentre() *centre {
	return &centre{
		at:      conf.Position{Store: conf.StoreID{1}, Epoch: conf.Epoch{Generation: 1, ID: [16]byte{1}}},
		entries: make(map[conf.Key]conf.Entry),
		touched: make(map[conf.Key]int64),
		sets:    make(map[conf.KeySetHash][]conf.Key),
		changed: make(chan struct{}),
		inline:  conf.InlineContent,
		denied:  make(map[conf.Key]bool),
		fetches: make(map[conf.Key]int),
	}
}

// set publishes a value and returns its revision.
func (c *centre) set(key conf.Key, content string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step(map[conf.Key]*string{key.Canonical(): &content})
	return c.at.Revision
}

// setTyped publishes a value with a type.
func (c *centre) setTyped(key conf.Key, typ, content string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step(map[conf.Key]*string{key: &content})
	e := c.entries[key]
	e.Type = typ
	c.entries[key] = e
}

// setAll publishes values in one change set.
func (c *centre) setAll(contents map[conf.Key]string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[conf.Key]*string)
	for key, content := range contents {
		all[key.Canonical()] = &content
	}
	c.step(all)
	return c.at.Revision
}

func (c *centre) remove(key conf.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step(map[conf.Key]*string{key.Canonical(): nil})
}

func (c *centre) step(contents map[conf.Key]*string) {
	c.at.Revision++
	c.at.Chain[0]++
	for key, content := range contents {
		c.touched[key] = c.at.Revision
		if content == nil {
			delete(c.entries, key)
			continue
		}
		c.entries[key] = conf.Entry{
			Key: key, Content: *content, Type: conf.TypeOf(key.DataID), MD5: conf.MD5Hex(*content), Size: int64(len(*content)),
			Revision: c.at.Revision, View: c.at.Revision,
		}
	}
	c.announce()
}

func (c *centre) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// deny refuses key to everybody, or no longer.
func (c *centre) deny(key conf.Key, refused bool) {
	c.with(func() {
		c.denied[key.Canonical()] = refused
		c.announce()
	})
}

// fork begins a new epoch in which the changes above revision are lost.
func (c *centre) fork(revision int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.entries {
		if e.Revision > revision {
			delete(c.entries, key)
		}
	}
	c.at.Epoch.Generation++
	c.at.Epoch.ID[0]++
	c.at.Revision++
	clear(c.touched)
	clear(c.sets)
	c.announce()
}

func (c *centre) with(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *centre) position() (at conf.Position) {
	c.with(func() { at = c.at })
	return at
}

// fail has every call fail with err; nil: no longer.
func (c *centre) fail(err error) {
	c.with(func() {
		c.onPoll, c.onFetch, c.onCommit, c.onReport, c.onChanges = nil, nil, nil, nil, nil
		if err == nil {
			return
		}
		c.onPoll = func(context.Context, *conf.PollRequest) (*conf.PollResponse, error) { return nil, err }
		c.onFetch = func(context.Context, *conf.FetchRequest) (*conf.FetchResponse, error) { return nil, err }
		c.onCommit = func(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) { return nil, err }
		c.onReport = func(context.Context, *conf.ReportRequest) (*conf.ReportResponse, error) { return nil, err }
		c.onChanges = func(context.Context, *conf.ChangesRequest) (*conf.ChangesResponse, error) { return nil, err }
		c.announce() // those who are parked are cut off
	})
}

// failFetches has fetches of keys, none: of all, fail with err; nil: no longer.
func (c *centre) failFetches(err error, keys ...conf.Key) {
	c.with(func() {
		if c.onFetch = nil; err == nil {
			return
		}
		c.onFetch = func(_ context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
			if len(keys) == 0 || slices.Contains(keys, req.Key) {
				return nil, err
			}
			return nil, nil
		}
	})
}

// hang has every call hang until its context ends.
func (c *centre) hang() {
	c.with(func() {
		c.onPoll = func(ctx context.Context, _ *conf.PollRequest) (*conf.PollResponse, error) {
			return nil, ended(ctx)
		}
		c.onFetch = func(ctx context.Context, _ *conf.FetchRequest) (*conf.FetchResponse, error) {
			return nil, ended(ctx)
		}
		c.onCommit = func(ctx context.Context, _ *conf.CommitRequest) (*conf.CommitResponse, error) {
			return nil, ended(ctx)
		}
		c.onReport = func(ctx context.Context, _ *conf.ReportRequest) (*conf.ReportResponse, error) {
			return nil, ended(ctx)
		}
		c.onChanges = func(ctx context.Context, _ *conf.ChangesRequest) (*conf.ChangesResponse, error) {
			return nil, ended(ctx)
		}
		c.announce()
	})
}

func ended(ctx context.Context) error {
	<-ctx.Done()
	return &conf.Error{Err: ctx.Err()}
}

var errDown = &conf.Error{Err: conf.ErrUnavailable, Detail: "connection refused"}

func (c *centre) pollCount() (n int) {
	c.with(func() { n = len(c.polls) })
	return n
}

func (c *centre) lastPoll() (req conf.PollRequest) {
	c.with(func() { req = c.polls[len(c.polls)-1] })
	return req
}

func (c *centre) fetchCount(key conf.Key) (n int) {
	c.with(func() { n = c.fetches[key.Canonical()] })
	return n
}

func (c *centre) reported() (out []conf.Report) {
	c.with(func() { out = append(out, c.reports...) })
	return out
}

func (c *centre) Fetch(ctx context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	c.mu.Lock()
	c.fetches[req.Key.Canonical()]++
	hook := c.onFetch
	c.mu.Unlock()
	if hook != nil {
		if resp, err := hook(ctx, req); resp != nil || err != nil {
			return resp, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, &conf.Error{Err: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.Compare(req.After) < 0 {
		return nil, &conf.Error{Err: conf.ErrBehind, Remote: true}
	}
	if c.denied[req.Key.Canonical()] {
		return nil, &conf.Error{Op: "fetch", Key: req.Key, Err: conf.ErrDenied, Remote: true}
	}
	e, ok := c.entries[req.Key.Canonical()]
	if req.Revision > 0 && (!ok || e.Revision != req.Revision) {
		return nil, &conf.Error{Err: conf.ErrNotFound, Remote: true}
	}
	resp := &conf.FetchResponse{Found: ok, Entry: e, Position: c.at}
	if c.tamper != nil {
		c.tamper(resp)
	}
	return resp, nil
}

func (c *centre) Poll(ctx context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	c.mu.Lock()
	c.polls = append(c.polls, *req)
	hook := c.onPoll
	c.mu.Unlock()
	if hook != nil {
		if resp, err := hook(ctx, req); resp != nil || err != nil {
			return resp, err
		}
	}
	timer := time.NewTimer(req.Wait)
	defer timer.Stop()
	for waited := req.Wait == 0; ; {
		c.mu.Lock()
		if cut := c.onPoll; cut != nil && hook == nil {
			c.mu.Unlock()
			hook = cut // the fault began while we were parked
			if resp, err := cut(ctx, req); resp != nil || err != nil {
				return resp, err
			}
			continue
		}
		resp, err := c.compare(req)
		changed := c.changed
		c.mu.Unlock()
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

// compare says which keys are not as they are held. mu must be held.
func (c *centre) compare(req *conf.PollRequest) (*conf.PollResponse, error) {
	if req.Keys != nil {
		c.sets[req.Set] = req.Keys
	}
	keys, ok := c.sets[req.Set]
	known := !req.Position.IsZero()
	if !ok || (known && req.Position.Epoch != c.at.Epoch) {
		return &conf.PollResponse{Resync: true}, nil
	}
	held := make(map[conf.Key]conf.Held)
	for _, h := range req.Held {
		if !slices.Contains(keys, h.Key) {
			return nil, &conf.Error{Err: conf.ErrInvalid, Detail: "held: a key that is not in the set", Remote: true}
		}
		held[h.Key] = h
	}
	resp := &conf.PollResponse{Position: c.at}
	for _, key := range keys {
		if c.denied[key] {
			resp.Denied = append(resp.Denied, conf.Denial{Key: key, Detail: "not for you"})
			continue
		}
		e := c.entries[key]
		h, told := held[key]
		if !told && known && c.touched[key] <= req.Position.Revision {
			continue
		}
		if (told || !known) && h.Revision == e.Revision && h.MD5 == e.MD5 {
			continue
		}
		ks := conf.KeyState{Key: key, Revision: e.Revision, View: e.View, MD5: e.MD5}
		if e.Revision > 0 && len(e.Content) <= c.inline {
			ks.Entry = &e
		}
		resp.Changed = append(resp.Changed, ks)
	}
	return resp, nil
}

func (c *centre) Commit(ctx context.Context, req *conf.CommitRequest) (*conf.CommitResponse, error) {
	c.mu.Lock()
	c.commits = append(c.commits, req.Set)
	hook := c.onCommit
	c.mu.Unlock()
	if hook != nil {
		if resp, err := hook(ctx, req); resp != nil || err != nil {
			return resp, err
		}
	}
	set := req.Set.Canonical()
	if err := set.Validate(conf.DefaultMaxContent); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	contents := make(map[conf.Key]*string)
	for i := range set.Drafts {
		contents[set.Drafts[i].Key] = &set.Drafts[i].Content
	}
	for i := range set.Deletes {
		if _, ok := c.entries[set.Deletes[i].Key]; !ok {
			return nil, &conf.Error{Err: conf.ErrNotFound, Remote: true}
		}
		contents[set.Deletes[i].Key] = nil
	}
	c.step(contents)
	return &conf.CommitResponse{Position: c.at}, nil
}

func (c *centre) Changes(ctx context.Context, req *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	c.mu.Lock()
	hook := c.onChanges
	c.mu.Unlock()
	if hook == nil {
		return nil, errors.New("not part of this fake")
	}
	return hook(ctx, req)
}

func (c *centre) List(ctx context.Context, _ *conf.ListRequest) (*conf.ListResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, &conf.Error{Err: err}
	}
	return &conf.ListResponse{Position: c.position()}, nil
}

func (c *centre) History(ctx context.Context, _ *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	return &conf.HistoryResponse{}, ctx.Err()
}

func (c *centre) Report(ctx context.Context, req *conf.ReportRequest) (*conf.ReportResponse, error) {
	c.mu.Lock()
	hook := c.onReport
	c.mu.Unlock()
	if hook != nil {
		if resp, err := hook(ctx, req); resp != nil || err != nil {
			return resp, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports = append(c.reports, req.Reports...)
	return &conf.ReportResponse{}, nil
}
