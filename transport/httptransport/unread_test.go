package httptransport_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/transport/httptransport"
	"github.com/linnaname/gdiamond/transport/httptransport/internal/protocoltest"
)

// unread is the peer of an answer that it does not read for now.
type unread struct {
	*httptest.ResponseRecorder
	begun, goOn chan struct{}
}

func (u *unread) Write(p []byte) (int, error) { return u.WriteString(string(p)) }

func (u *unread) WriteString(s string) (int, error) {
	if u.Code == http.StatusOK && u.begun != nil {
		close(u.begun)
		<-u.goOn
		u.begun = nil
	}
	return u.ResponseRecorder.WriteString(s)
}

// reader asks for targets from an address. It leaves answers unread until goOn.
type reader struct {
	h     http.Handler
	goOn  chan struct{}
	ended []chan struct{}
}

// hold asks, and returns the status of an answer that is not read before goOn.
func (r *reader) hold(address, target string) int {
	req := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+target, nil)
	req.RemoteAddr = address
	w := &unread{newRecorder(), make(chan struct{}), r.goOn}
	end := make(chan struct{})
	begun := w.begun
	go func() {
		defer close(end)
		r.h.ServeHTTP(w, req)
	}()
	r.ended = append(r.ended, end)
	select {
	case <-begun:
		return http.StatusOK
	case <-end:
		return w.Code
	}
}

func (r *reader) finish() {
	close(r.goOn)
	for _, end := range r.ended {
		<-end
	}
}

// What answers hold that are not read is bounded by address and in all, whatever
// they are of. Who is refused is told to come back; small answers, and contents that
// somebody holds already, always go out.
func TestUnreadAnswersHaveTheBudgetOfBodies(t *testing.T) {
	const most, each = 8 << 20, 3 << 20
	c := protocoltest.New(t, httptransport.WithMemoryBudget(most, each))
	positions := []conf.Position{{}}
	for i := range 10 {
		positions = append(positions, c.Publish(protocoltest.Key("app.yaml"), strings.Repeat(fmt.Sprint(i), protocoltest.MaxContent-1)))
	}
	c.Publish(protocoltest.Key("small"), "s")
	old := func(i int) string { return fmt.Sprintf("%s?revision=%d", one, positions[i].Revision) }
	for name, target := range map[string]func(i int) string{
		"old versions": old,
		"changes":      func(i int) string { return "/v1/changes?contents=true&after=" + positions[i-1].String() },
	} {
		t.Run(name, func(t *testing.T) {
			r := &reader{h: c.H, goOn: make(chan struct{})}
			const evil = "127.0.0.2:1"
			allowed := 0
			for allowed < 10 && r.hold(evil, target(allowed+1)) == http.StatusOK {
				allowed++
			}
			assert.Positive(t, allowed)
			assert.LessOrEqual(t, httptransport.MemoryHeld(c.H), int64(each))
			refused := askFrom(c.H, evil, old(9))
			assert.Equal(t, http.StatusTooManyRequests, refused.Code, "its share is used up")
			assert.Equal(t, "overloaded", refused.Header().Get("Diamond-Error"))
			assert.NotEmpty(t, refused.Header().Get("Retry-After"))
			assert.Empty(t, refused.Header().Get("Etag"), "that is of no version")
			assert.Equal(t, http.StatusOK, r.hold(evil, target(1)), "what it holds already is free")
			assert.Equal(t, http.StatusOK, askFrom(c.H, evil, "/v1/configs/public/DEFAULT_GROUP/small").Code)
			assert.Equal(t, http.StatusTooManyRequests, askFrom(c.H, evil, "/diamond-server/config?dataId=app.yaml&group=").Code)
			assert.Equal(t, http.StatusOK, askFrom(c.H, "127.0.0.3:1", old(9)).Code, "others are served")
			for i := range 20 {
				r.hold(fmt.Sprintf("127.0.1.%d:1", i), old(i%10+1))
			}
			assert.LessOrEqual(t, httptransport.MemoryHeld(c.H), int64(most))
			r.finish()
			assert.Zero(t, httptransport.MemoryHeld(c.H), "nothing is left behind")
			assert.Equal(t, http.StatusOK, askFrom(c.H, evil, old(9)).Code)
		})
	}
}

// A content that thousands of clients fetch at once counts once.
func TestUnreadAnswersShareContents(t *testing.T) {
	c := protocoltest.New(t, httptransport.WithMemoryBudget(4<<20, 2<<20))
	c.Publish(protocoltest.Key("app.yaml"), strings.Repeat("x", protocoltest.MaxContent))
	r := &reader{h: c.H, goOn: make(chan struct{})}
	for i := range 100 {
		require.Equal(t, http.StatusOK, r.hold(fmt.Sprintf("127.0.1.%d:1", i/2), one))
	}
	assert.EqualValues(t, protocoltest.MaxContent, httptransport.MemoryHeld(c.H))
	assert.Equal(t, http.StatusOK, r.hold("127.0.2.1:1", "/v1/configs?contents=true"), "a list is of the same contents")
	assert.Less(t, httptransport.MemoryHeld(c.H), int64(protocoltest.MaxContent+4096))
	r.finish()
	assert.Zero(t, httptransport.MemoryHeld(c.H))
}

func askFrom(h http.Handler, address, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+target, nil)
	r.RemoteAddr = address
	w := newRecorder()
	h.ServeHTTP(w, r)
	return w
}
