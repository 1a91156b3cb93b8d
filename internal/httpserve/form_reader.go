package httpserve

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// maxParamName is the maximum number of bytes in the name of a parameter in a form.
const maxParamName = 128

// ReadParams returns the parameters of r's query and of its body together. The body is a
// form of at most limit bytes, and a parameter may appear only once in both. Most returns
// the maximum size of the value of a parameter in bytes, or an error if the route does not
// have the parameter.
func ReadParams(w http.ResponseWriter, r *http.Request, limit int64, most func(name string) (int64, error)) (Params, error) {
	params, err := ParseParams(nil, r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	for _, p := range params {
		if _, err := most(p.Name); err != nil {
			return nil, err
		}
	}
	if r.ContentLength == 0 {
		return params, nil
	}
	body, err := OpenBody(w, r, limit)
	if err != nil {
		return nil, err
	}
	err = body.ReadBuffered(func(buffer *bufio.Reader) error {
		if _, err := buffer.Peek(1); errors.Is(err, io.EOF) {
			return nil
		}
		if err := isForm(r); err != nil {
			return err
		}
		form := formReader{buffer, most}
		params, err = form.read(params)
		return err
	})
	if err != nil {
		return nil, err
	}
	return params, nil
}

func isForm(r *http.Request) error {
	media, _, err := mime.ParseMediaType(r.Header.Get(hContentType))
	if err != nil || !strings.EqualFold(media, "application/x-www-form-urlencoded") {
		return conf.Errorf(conf.ErrInvalid, "content-type: a body must be application/x-www-form-urlencoded")
	}
	return nil
}

// formReader decodes an urlencoded form as it arrives, by the rules of ParseParams. Memory
// has only the decoded values and not the form.
type formReader struct {
	r    *bufio.Reader
	most func(name string) (int64, error) // see ReadParams
}

// read appends the parameters of the form to params.
func (f *formReader) read(params Params) (Params, error) {
	for {
		name, end, err := f.until("=&", maxParamName)
		if err != nil {
			return nil, err
		}
		value := ""
		if name != "" || end == '=' {
			if err := params.room(name); err != nil {
				return nil, err
			}
			most, err := f.most(name)
			if err != nil {
				return nil, err
			}
			if end == '=' {
				if value, end, err = f.until("&", most); err != nil {
					return nil, err
				}
			}
			params = append(params, Param{name, value})
		}
		if end == 0 {
			return params, nil
		}
	}
}

// until returns the decoded text up to the first byte that is one of stops, and that byte,
// or 0 at the end of the form.
func (f *formReader) until(stops string, most int64) (text string, stop byte, err error) {
	var b strings.Builder
	for {
		c, err := f.r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return b.String(), 0, nil
		case err != nil:
			return "", 0, err
		case strings.IndexByte(stops, c) >= 0:
			return b.String(), c, nil
		case c == '+':
			c = ' '
		case c == '%':
			if c, err = f.escaped(); err != nil {
				return "", 0, err
			}
		}
		if int64(b.Len()) == most {
			return "", 0, conf.Errorf(conf.ErrTooLarge, "parameters: one has more than %d bytes", most)
		}
		b.WriteByte(c)
	}
}

// escaped returns the byte whose two digits come next.
func (f *formReader) escaped() (byte, error) {
	high, err := f.r.ReadByte()
	if err != nil {
		return 0, cutEscape(err)
	}
	low, err := f.r.ReadByte()
	if err != nil {
		return 0, cutEscape(err)
	}
	h, okh := hexDigit(high)
	l, okl := hexDigit(low)
	if !okh || !okl {
		return 0, errEscape()
	}
	return h<<4 | l, nil
}

func cutEscape(err error) error {
	if errors.Is(err, io.EOF) {
		return errEscape()
	}
	return err
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
