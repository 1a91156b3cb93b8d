package httptransport

import (
	"io"
	"net/http"
	"strconv"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/httpserve"
)

// answer collects the frames of an answer. Answers share their parts, which are not
// copied before they go to the connection.
type answer struct {
	parts []string
	count int
	size  int64
}

func (a *answer) add(parts ...string) {
	a.parts = append(a.parts, parts...)
	for _, p := range parts {
		a.size += int64(len(p))
	}
	a.count++
}

func (a *answer) addLine(line string) { a.add(line) }

func (a *answer) addContent(line, content string) { a.add(line, content, "\n") }

// addEntry adds e with its content.
func (h *handler) addEntry(a *answer, e *conf.Entry) {
	a.addContent(h.encoded.Of(e).line(), e.Content)
}

// send writes the answer.
func (h *handler) send(w http.ResponseWriter, r *http.Request, a *answer) httpserve.Outcome {
	held, err := httpserve.HoldAnswer(h.memory, r, a.parts...)
	if err != nil {
		return fail(w, err, 0)
	}
	defer held.Release()
	header := w.Header()
	httpserve.SetType(header, valueBytes)
	header[hContentLength] = []string{strconv.FormatInt(a.size, 10)}
	header[hCount] = []string{strconv.Itoa(a.count)}
	httpserve.BeginAnswer(w, a.size)
	out := httpserve.Outcome{Status: http.StatusOK}
	if r.Method == http.MethodHead {
		return out
	}
	for _, p := range a.parts {
		if _, err := io.WriteString(w, p); err != nil {
			break // the peer may have gone
		}
	}
	out.Bytes = a.size
	return out
}
