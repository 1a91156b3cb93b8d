package httptransport_test

import (
	"context"
	"crypto/sha256"
	"time"

	diamond "github.com/linnaname/gdiamond"
)

// canned is a server that always says the same.
type canned struct {
	diamond.Server
	err error
}

var (
	cannedKey      = diamond.NewKey("g", "k.yaml")
	cannedTime     = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	cannedPosition = diamond.Position{Store: diamond.StoreID{1}, Epoch: diamond.Epoch{Generation: 2, ID: [16]byte{3}}, Revision: 7, Chain: diamond.Chain{4}}
	cannedEntry    = diamond.Entry{
		Key: cannedKey, Content: "a: 1\n", Type: "yaml", MD5: diamond.MD5Hex("a: 1\n"), Size: 5,
		Revision: 6, View: 7, Modified: cannedTime, Meta: map[string]string{"owner": "é"},
	}
	cannedChange = diamond.Change{
		Revision: 6, Count: 2, Key: cannedKey, Op: diamond.OpPublish, Type: "yaml", MD5: cannedEntry.MD5, SHA256: sha256.Sum256([]byte("a: 1\n")),
		Size: 5, Meta: cannedEntry.Meta, Author: diamond.Principal{Name: "ann"}, Address: "192.0.2.1:9", Comment: "why <&>", Time: cannedTime, Content: "a: 1\n",
	}
)

func (c *canned) Status() diamond.ServerStatus {
	return diamond.ServerStatus{Ready: c.err == nil, Position: cannedPosition}
}

func (c *canned) Fetch(_ context.Context, req *diamond.FetchRequest) (*diamond.FetchResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	if req.Key != cannedKey {
		return &diamond.FetchResponse{Position: cannedPosition}, nil
	}
	return &diamond.FetchResponse{Found: true, Entry: cannedEntry, Position: cannedPosition, Stale: 1500 * time.Millisecond}, nil
}

func (c *canned) Poll(_ context.Context, req *diamond.PollRequest) (*diamond.PollResponse, error) {
	if c.err != nil || req.Set == (diamond.KeySetHash{}) {
		return &diamond.PollResponse{Position: cannedPosition, Resync: true}, c.err
	}
	gone, large := diamond.NewKey("g", "gone"), diamond.NewKey("g", "large")
	return &diamond.PollResponse{Position: cannedPosition, Draining: true, Changed: []diamond.KeyState{
		{Key: gone}, {Key: cannedKey, Revision: 6, View: 7, MD5: cannedEntry.MD5, Entry: &cannedEntry},
		{Key: large, Revision: 5, View: 5, MD5: diamond.MD5Hex("large")},
	}, Denied: []diamond.Denial{{Key: diamond.Key{Namespace: "_sys", Group: "g", DataID: "k"}, Detail: `not yours, "said" <it>`}}}, nil
}

func (c *canned) Commit(context.Context, *diamond.CommitRequest) (*diamond.CommitResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	return &diamond.CommitResponse{Position: cannedPosition, Replayed: true}, nil
}

func (c *canned) Changes(context.Context, *diamond.ChangesRequest) (*diamond.ChangesResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	deletion := diamond.Change{Revision: 6, Number: 1, Count: 2, Key: diamond.NewKey("g", "gone"), Op: diamond.OpDelete, Time: cannedTime}
	fork := diamond.Change{Revision: 7, Count: 1, Op: diamond.OpFork, Time: cannedTime, Epoch: cannedPosition.Epoch}
	return &diamond.ChangesResponse{Changes: []diamond.Change{cannedChange, deletion, fork}, Position: cannedPosition, More: true}, nil
}

func (c *canned) List(context.Context, *diamond.ListRequest) (*diamond.ListResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	return &diamond.ListResponse{Entries: []diamond.Entry{cannedEntry}, More: true, Position: cannedPosition, Stale: 2 * time.Second}, nil
}

func (c *canned) History(context.Context, *diamond.HistoryRequest) (*diamond.HistoryResponse, error) {
	if c.err != nil {
		return nil, c.err
	}
	change := cannedChange
	change.Content = ""
	return &diamond.HistoryResponse{Changes: []diamond.Change{change}}, nil
}

func (c *canned) Report(context.Context, *diamond.ReportRequest) (*diamond.ReportResponse, error) {
	return &diamond.ReportResponse{}, c.err
}
