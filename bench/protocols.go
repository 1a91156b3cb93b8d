//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	diamond "github.com/linnaname/gdiamond"
	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
)

// protocol creates the requests of one of the two protocols, with the same bytes as its clients.
type protocol struct {
	name string
	// fetch reads benchKey.
	fetch func(addr string) ([]byte, error)
	// poll waits for a change after the publish p.
	poll func(addr string, p published) ([]byte, error)
	// marker returns a text in the answer with the content of a round.
	marker func(round int) string
}

var (
	native   = protocol{"native", nativeFetch, nativePoll, marker}
	original = protocol{"original", originalFetch, originalPoll, originalMarker}

	protocols = []protocol{native, original}
)

// capture returns the bytes that our client would send in a call.
func capture(addr string, call func(diamond.Transport) error, opts ...httptransport.Option) ([]byte, error) {
	var recorded recorder
	wire, err := httptransport.New(addr, append(opts, httptransport.WithHTTPClient(&http.Client{Transport: &recorded}))...)
	if err != nil {
		return nil, err
	}
	err = call(wire)
	if recorded.Len() == 0 {
		return nil, fmt.Errorf("the client sent nothing: %w", err)
	}
	return recorded.Bytes(), nil
}

// recorder records a request instead of sending it.
type recorder struct{ bytes.Buffer }

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Write(r); err != nil {
		return nil, err
	}
	return nil, errors.New("recorded")
}

// info is the clients' description of themselves.
func info() diamond.ClientInfo {
	return diamond.ClientInfo{ID: "0123456789abcdef0123456789abcdef", App: "bench", Version: "1.0"}
}

func nativeFetch(addr string) ([]byte, error) {
	return capture(addr, fetchCall)
}

func nativePoll(addr string, p published) ([]byte, error) {
	return capture(addr, pollCall(p))
}

// benchSet is the set of keys that native polls name by its hash.
func benchSet() []diamond.Key { return []diamond.Key{diamond.NewKey("", benchKey)} }

// introduce sends the keys of benchSet to the server, like the first poll of a client.
func introduce(addr string, opts ...httptransport.Option) error {
	t, err := httptransport.New(addr, opts...)
	if err != nil {
		return err
	}
	defer t.Close()
	_, err = t.Poll(context.Background(), &conf.PollRequest{Client: info(), Set: conf.HashKeys(benchSet()), Keys: benchSet()})
	return err
}

// originalFetch is the original client's request for a read.
func originalFetch(addr string) ([]byte, error) {
	query := url.Values{"dataId": {benchKey}, "group": {diamond.DefaultGroup}}
	return []byte("GET /diamond-server/config?" + query.Encode() + " HTTP/1.1\r\n" +
		"Host: " + addr + "\r\n" +
		"User-Agent: Go-http-client/1.1\r\n" +
		"Accept-Encoding: gzip,deflate\r\n\r\n"), nil
}

// originalPoll is the original client's request for a wait: a chunked form.
func originalPoll(addr string, p published) ([]byte, error) {
	form := "Probe-Modify-Request=" + url.QueryEscape(benchKey+","+diamond.DefaultGroup+","+p.MD5)
	return fmt.Appendf(nil, "POST /diamond-server/getProbeModify HTTP/1.1\r\n"+
		"Host: %s\r\n"+
		"User-Agent: Go-http-client/1.1\r\n"+
		"Transfer-Encoding: chunked\r\n"+
		"Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"+
		"Long-Polling-Timeout: 60000\r\n"+
		"Accept-Encoding: gzip\r\n\r\n"+
		"%x\r\n%s\r\n0\r\n\r\n", addr, len(form), form), nil
}

// originalMarker is the name of the key, the only content of an answer.
func originalMarker(int) string {
	return url.QueryEscape(benchKey + "," + diamond.DefaultGroup + ";")
}
