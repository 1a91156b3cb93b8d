//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/server"
	"github.com/linnaname/gdiamond/storage/memstore"
)

// published is the outcome of one publish.
type published struct {
	Began    int64 // Unix nanoseconds before the commit
	Revision int64
	MD5      string
	Position diamond.Position
}

// counts are a server's counters between two measurements.
type counts struct {
	Waiters    int
	Inflight   int // commits in progress
	Wakeups    uint64
	Feed       int64 // calls of Changes
	Access     int64 // all other calls of the storage
	Commits    int64 // calls of Commit
	Committing bool  // a commit is running
	Sets       int64 // sets of all commits
}

// countedStorage counts the server's calls of its storage.
type countedStorage struct {
	diamond.Storage
	feed, access, commits, sets, committing atomic.Int64
}

func (s *countedStorage) Commit(ctx context.Context, sets []diamond.ChangeSet) ([]conf.Result, error) {
	s.access.Add(1)
	s.commits.Add(1)
	s.sets.Add(int64(len(sets)))
	s.committing.Add(1)
	defer s.committing.Add(-1)
	return s.Storage.Commit(ctx, sets)
}

func (s *countedStorage) Read(ctx context.Context, key diamond.Key, revision int64) (diamond.Entry, error) {
	s.access.Add(1)
	return s.Storage.Read(ctx, key, revision)
}

func (s *countedStorage) Changes(ctx context.Context, after diamond.Position, maxBytes int64) (conf.Batch, error) {
	s.feed.Add(1)
	return s.Storage.Changes(ctx, after, maxBytes)
}

func (s *countedStorage) Scan(ctx context.Context, req conf.ScanRequest) (conf.Page, error) {
	s.access.Add(1)
	return s.Storage.Scan(ctx, req)
}

func (s *countedStorage) History(ctx context.Context, key diamond.Key, before int64, limit int) ([]diamond.Change, error) {
	s.access.Add(1)
	return s.Storage.History(ctx, key, before, limit)
}

func (s *countedStorage) PositionAt(ctx context.Context, revision int64) (diamond.Position, error) {
	s.access.Add(1)
	return s.Storage.PositionAt(ctx, revision)
}

func (s *countedStorage) counts(srv diamond.Server) counts {
	st := srv.Status()
	return counts{
		Waiters: st.Waiters, Inflight: st.Inflight, Wakeups: st.Counters.Wakeups,
		Feed: s.feed.Load(), Access: s.access.Load(), Commits: s.commits.Load(), Sets: s.sets.Load(),
		Committing: s.committing.Load() > 0,
	}
}

// serverRole is a process with a complete node as users run it: the engine, the HTTP handler,
// metrics and limits, with the default log.
func serverRole([]string) error {
	storage := &countedStorage{Storage: memstore.New()}
	srv, err := diamond.NewServer(storage)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- server.NewNode(srv, server.WithListener(listener)).Run(ctx) }()
	if err := ready(srv, 10*time.Second); err != nil {
		return err
	}
	err = obey(listener.Addr().String(), map[string]func(command) (any, error){
		"publish": func(c command) (any, error) { return publish(ctx, srv, c.Key, string(c.Data)) },
		"collect": func(command) (any, error) { return nil, collect() },
		"waiting": func(command) (any, error) { return srv.Status().Waiters, nil },
		"counts":  func(command) (any, error) { return storage.counts(srv), nil },
	})
	stop()
	return errors.Join(err, <-failed, storage.Close())
}

// ready waits until srv can serve reads.
func ready(srv diamond.Server, limit time.Duration) error {
	for begun := time.Now(); !srv.Status().Ready; time.Sleep(100 * time.Microsecond) {
		if time.Since(begun) > limit {
			return errors.New("the server does not become ready")
		}
	}
	return nil
}

// publish commits content in the process, so that the clock starts at the change and not with a
// request on its way.
func publish(ctx context.Context, srv diamond.Server, dataID, content string) (published, error) {
	key := diamond.NewKey("", dataID)
	began := time.Now().UnixNano()
	answer, err := srv.Commit(ctx, &conf.CommitRequest{Set: diamond.ChangeSet{
		Drafts: []diamond.Draft{{Key: key, Content: content}},
	}})
	if err != nil {
		return published{}, err
	}
	return published{began, answer.Position.Revision, conf.MD5Hex(content), answer.Position}, nil
}
