package httptransport_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// endless is a body that begins with head and then has part again and again. It
// counts what is read of it.
type endless struct {
	head, part string
	rest       string
	read       int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.head != "" {
		e.rest, e.head = e.head, ""
	}
	if e.rest == "" {
		e.rest = strings.Repeat(e.part, 4096/len(e.part)+1)
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	e.read += n
	return n, nil
}

// allocated returns how many bytes f allocates.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// Whatever lists a body has, it is refused where it has more elements than it may,
// or an element that none is, and not when it has been read to its end. What it
// makes the server allocate is little.
func TestBodiesAreJudgedWhileTheyArrive(t *testing.T) {
	c := protocoltest.New(t)
	const form = "application/x-www-form-urlencoded"
	for name, body := range map[string]struct {
		target string
		endless
		most   int // bytes that are read
		status int
	}{
		"held, empty":        {"/v1/poll", endless{head: `{"held":[`, part: `{},`}, 64 << 10, 400},
		"held":               {"/v1/poll", endless{head: `{"held":[`, part: `{"key":"a"},`}, 2 << 20, 413},
		"keys, empty":        {"/v1/poll", endless{head: `{"keys":[`, part: `"",`}, 64 << 10, 400},
		"keys, null":         {"/v1/poll", endless{head: `{"keys":[`, part: `null,`}, 64 << 10, 400},
		"keys":               {"/v1/poll", endless{head: `{"keys":[`, part: `"a",`}, 1 << 20, 413},
		"keys, a long one":   {"/v1/poll", endless{head: `{"keys":["`, part: `a`}, 64 << 10, 400},
		"keys, nested":       {"/v1/poll", endless{head: `{"keys":`, part: `[`}, 64 << 10, 400},
		"unknown, nested":    {"/v1/poll", endless{head: `{"new":`, part: `{"a":`}, 64 << 10, 400},
		"unknown, many":      {"/v1/poll", endless{head: `{"new":[`, part: `[],`}, 33 << 20, 413},
		"many fields":        {"/v1/poll", endless{head: `{`, part: `"a":1,`}, 64 << 10, 400},
		"white space":        {"/v1/poll", endless{head: `{`, part: ` `}, 64 << 10, 400},
		"after the object":   {"/v1/poll", endless{head: `{"keys":["a"]}`, part: ` `}, 64 << 10, 400},
		"held, large":        {"/v1/poll", endless{head: `{"held":[{"key":`, part: `[`}, 64 << 10, 400},
		"reports, empty":     {"/v1/reports", endless{head: `{"reports":[`, part: `{},`}, 64 << 10, 400},
		"change set, lines":  {"/v1/changesets", endless{part: `{"op":"check","key":"a","revision":0}` + "\n"}, 128 << 10, 400},
		"change set, a line": {"/v1/changesets", endless{head: `{"op":"`, part: `x`}, 256 << 10, 400},
		"change set, meta":   {"/v1/changesets", endless{head: `{"op":"publish","key":"a","meta":{"a":""`, part: `,"b":""`}, 256 << 10, 400},
		"form, parameters":   {"/diamond-server/publishConfig", endless{part: `a&`}, 64 << 10, 400},
		"form, one":          {"/diamond-server/publishConfig", endless{head: `dataId=`, part: `a`}, 64 << 10, 413},
		"form, a name":       {"/diamond-server/publishConfig", endless{part: `a`}, 64 << 10, 413},
		"form, nothing":      {"/diamond-server/publishConfig", endless{part: `&`}, 4 << 20, 413},
		"probe, commas":      {"/diamond-server/getProbeModify", endless{head: `Probe-Modify-Request=`, part: `,`}, 5 << 20, 413},
		"probe, semicolons":  {"/diamond-server/getProbeModify", endless{head: `Probe-Modify-Request=`, part: `;`}, 5 << 20, 413},
	} {
		t.Run(name, func(t *testing.T) {
			in := body.endless
			r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1"+body.target, &in)
			r.ContentLength = -1
			r.Header.Set("Content-Type", form)
			r.Header.Set("Diamond-Client", "id=a")
			w := newRecorder()
			bytes := allocated(func() { c.H.ServeHTTP(w, r) })
			t.Logf("%d bytes read, %d allocated", in.read, bytes)
			assert.Equal(t, body.status, w.Code, w.Body)
			assert.LessOrEqual(t, in.read, body.most)
			most := int64(64 << 20)
			if poolsLeak {
				most *= 4
			}
			assert.LessOrEqual(t, bytes, most, "what was let go again counts too")
			assert.Equal(t, "close", w.Header().Get("Connection"))
		})
	}
}

// stalled is a body of which no more comes once it has given what it has.
type stalled struct {
	io.Reader
	waits, goOn chan struct{}
}

func (s *stalled) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		close(s.waits)
		<-s.goOn
	}
	return n, err
}

// What bodies hold together is bounded, by address and in all; who is refused is
// told to come back, small requests always come in, and all is given back.
func TestBodiesHaveOneBudget(t *testing.T) {
	const most, each = 8 << 20, 2 << 20
	c := protocoltest.New(t, httptransport.WithMemoryBudget(most, each))
	content := strings.Repeat("c", protocoltest.MaxContent)
	large := fmt.Sprintf(`{"op":"publish","key":"k%d","length":%d}`+"\n%s\n", rand.Int(), len(content), content)
	put := func(address, target, body string) *httptest.ResponseRecorder {
		method := http.MethodPut
		if strings.HasPrefix(target, "/v1/changesets") {
			method = http.MethodPost
		}
		r := httptest.NewRequest(method, "http://127.0.0.1"+target, strings.NewReader(body))
		r.RemoteAddr = address
		w := newRecorder()
		c.H.ServeHTTP(w, r)
		return w
	}
	goOn := make(chan struct{})
	var ended []chan int
	held := func(address string) {
		in := &stalled{strings.NewReader(large), make(chan struct{}), goOn}
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/v1/changesets", in)
		r.ContentLength, r.RemoteAddr = -1, address
		end := make(chan int, 1)
		ended = append(ended, end)
		go func() {
			w := newRecorder()
			c.H.ServeHTTP(w, r)
			end <- w.Code
		}()
		select {
		case <-in.waits:
		case code := <-end:
			end <- code
		}
	}
	held("127.0.0.2:1")
	held("127.0.0.2:2") // the address has one of them, and not quite another
	w := put("127.0.0.2:3", one, content)
	assert.Equal(t, http.StatusTooManyRequests, w.Code, "its share is used up")
	assert.Equal(t, "overloaded", w.Header().Get("Diamond-Error"))
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
	assert.Equal(t, 200, put("127.0.0.2:4", one, "small").Code, "what is small comes in all the same")
	assert.Equal(t, 200, put("127.0.0.3:1", one, content).Code, "as does what others send")
	for i := range 20 {
		held(fmt.Sprintf("127.0.1.%d:1", i))
	}
	assert.LessOrEqual(t, httptransport.MemoryHeld(c.H), int64(most))
	assert.Equal(t, 200, put("127.0.0.4:1", one, "small").Code)
	close(goOn)
	refused := 0
	for _, end := range ended {
		if <-end == http.StatusTooManyRequests {
			refused++
		}
	}
	t.Logf("%d of %d bodies were refused", refused, len(ended))
	assert.Positive(t, refused)
	assert.Zero(t, httptransport.MemoryHeld(c.H), "nothing is left behind")
	assert.Equal(t, 200, put("127.0.0.2:5", one, content).Code)
}

// A poll that waits holds nothing of its body but what it says that its client
// holds; an answered one holds nothing.
func TestParkedPollsHoldNoBody(t *testing.T) {
	c := protocoltest.New(t)
	addr := c.Listen()
	at := c.Publish(protocoltest.Key("a"), "x")
	var keys strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&keys, `"k%d",`, i)
	}
	poll := func(more string) chan *http.Response {
		answered := make(chan *http.Response, 1)
		body := fmt.Sprintf(`{"keys":[%s"a"],"position":%q,"wait":"60s"%s}`, keys.String(), at, more)
		go func() {
			res, _ := protocoltest.Exchange(t, addr, fmt.Sprintf("POST /v1/poll HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", addr, len(body), body))
			answered <- res
		}()
		return answered
	}
	first := poll("")
	c.Parked(1)
	assert.Zero(t, httptransport.MemoryHeld(c.H))
	var held strings.Builder
	for i := range 999 {
		fmt.Fprintf(&held, `{"key":"k%d","revision":0},`, i)
	}
	second := poll(`,"held":[` + held.String() + `{"key":"k999","revision":0}]`)
	c.Parked(2)
	kept := httptransport.MemoryHeld(c.H)
	assert.Positive(t, kept)
	assert.LessOrEqual(t, kept, int64(300<<10))
	c.Publish(protocoltest.Key("a"), "y")
	for _, answered := range []chan *http.Response{first, second} {
		require.Equal(t, 200, (<-answered).StatusCode)
	}
	require.Eventually(t, func() bool { return httptransport.MemoryHeld(c.H) == 0 }, protocoltest.Patience, protocoltest.Tick)
}

// A newer client may say more in polls and reports: what this server does not know
// of it is ignored, so that the client can use it. In a change set it would change
// what is done, and is refused.
func TestFieldsOfNewerClients(t *testing.T) {
	c := protocoltest.New(t)
	c.Publish(protocoltest.Key("a"), "x")
	const unknown = `"new":{"a":[1,{"b":null}],"c":"d"},`
	w := c.Ask("POST", "/v1/poll", `{`+unknown+`"keys":["a"],"held":[{"key":"a","revision":1,"new":[1]}]}`)
	assert.Equal(t, 200, w.Code, w.Body)
	w = c.Ask("POST", "/v1/reports", `{`+unknown+`"reports":[{`+unknown+`"key":"a","revision":1,"applied":true}]}`, "Diamond-Client", "id=a&new=b")
	assert.Equal(t, 204, w.Code, w.Body)
	w = c.Ask("POST", "/v1/changesets", `{"op":"delete","key":"a",`+unknown[:len(unknown)-1]+"}\n")
	assert.Equal(t, 400, w.Code)
	assert.True(t, c.Fetch(conf.NewKey("", "a")).Found)
}
