package httptransport_test

import (
	"context"
	"crypto/sha256"
	"time"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
)

// canned is a server that always says the same.
type canned struct {
	diamond.Server
	err error
}

var (
	cannedKey      = conf.NewKey("g", "k.yaml")
	cannedTime     = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	cannedPosition = conf.Position{Store: conf.StoreID{1}, Epoch: conf.Epoch{Generation: 2, ID: [16]byte{3}}, Revision: 7, Chain: conf.Chain{4}}
	cannedEntry    = conf.Entry{
		Key: cannedKey, Content: "a: 1\n", Type: "yaml", MD5: conf.MD5Hex("a: 1\n"), Size: 5,
		Revision: 6, View: 7, Modified: cannedTime, Meta: map[string]string{"owner": "é"},
	}
	cannedChange = conf.Change{
		Revision: 6, Count: 2, Key: cannedKey, Op: conf.OpPublish, Type: "yaml", MD5: cannedEntry.MD5, SHA256: sha256.Sum256([]byte("a: 1\n")),
		Size: 5, Meta: cannedEntry.Meta, Author: conf.Principal{Name: "ann"}, Address: "192.0.2.1:9", Comment: "why <&>", Origin: "console", Time: cannedTime, Content: "a: 1\n",
	}
)

func (c *canned) Status() conf.ServerStatus {
	return conf.ServerStatus{Ready: c.err == nil, Position: cannedPosition}
}

func (c *canned) Fetch(_ context.Context, req *conf.FetchRequest) (*conf.FetchResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	if req.Key != cannedKey {
		return &conf.FetchResponse{Position: cannedPosition}, nil
	}
	return &conf.FetchResponse{Found: true, Entry: cannedEntry, Position: cannedPosition, Stale: 1500 * time.Millisecond}, nil
}

func (c *canned) Poll(_ context.Context, req *conf.PollRequest) (*conf.PollResponse, error) {
	if c.err != nil || req.Set == (conf.KeySetHash{}) {
		return &conf.PollResponse{Position: cannedPosition, Resync: true}, c.err
	}
	gone, large := conf.NewKey("g", "gone"), conf.NewKey("g", "large")
	return &conf.PollResponse{Position: cannedPosition, Draining: true, Changed: []conf.KeyState{
		{Key: gone}, {Key: cannedKey, Revision: 6, View: 7, MD5: cannedEntry.MD5, Entry: &cannedEntry},
		{Key: large, Revision: 5, View: 5, MD5: conf.MD5Hex("large")},
	}, Denied: []conf.Denial{{Key: conf.Key{Namespace: "_sys", Group: "g", DataID: "k"}, Detail: `not yours, "said" <it>`}}}, nil
}

func (c *canned) Commit(context.Context, *conf.CommitRequest) (*conf.CommitResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	return &conf.CommitResponse{Position: cannedPosition, Replayed: true}, nil
}

func (c *canned) Changes(context.Context, *conf.ChangesRequest) (*conf.ChangesResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	deletion := conf.Change{Revision: 6, Number: 1, Count: 2, Key: conf.NewKey("g", "gone"), Op: conf.OpDelete, Time: cannedTime}
	fork := conf.Change{Revision: 7, Count: 1, Op: conf.OpFork, Time: cannedTime, Epoch: cannedPosition.Epoch}
	return &conf.ChangesResponse{Changes: []conf.Change{cannedChange, deletion, fork}, Position: cannedPosition, More: true}, nil
}

func (c *canned) List(context.Context, *conf.ListRequest) (*conf.ListResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	return &conf.ListResponse{Entries: []conf.Entry{cannedEntry}, More: true, Position: cannedPosition, Stale: 2 * time.Second}, nil
}

func (c *canned) History(context.Context, *conf.HistoryRequest) (*conf.HistoryResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	change := cannedChange
	change.Content = ""
	return &conf.HistoryResponse{Changes: []conf.Change{change}}, nil
}

func (c *canned) Report(context.Context, *conf.ReportRequest) (*conf.ReportResponse, error) {
	return &conf.ReportResponse{}, c.err
}
