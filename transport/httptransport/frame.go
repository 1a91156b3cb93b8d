package httptransport

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/linnaname/gdiamond/conf"
)

// A frame is one line of JSON. If the line has a "length", that number of raw bytes and a
// newline follow it.

// framed is the decoded line of a frame.
type framed interface{ contentLength() *int64 }

// marshalLine returns the line of v with its newline.
func marshalLine(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// The lines hold strings, numbers, times and maps of strings: all can be encoded.
	_ = enc.Encode(v)
	return b.String()
}

// frameReader reads the frames of an untrusted peer.
type frameReader struct {
	r      *bufio.Reader
	strict bool  // refuses unknown fields
	most   int64 // maximum number of bytes of one content
	left   int64 // number of bytes that all further contents may have
}

// errFrame is the error of a body that is not made of frames.
func errFrame(format string, args ...any) error {
	return conf.Errorf(conf.ErrInvalid, "frame: "+format, args...)
}

// next decodes the next line into line and returns the content that follows it. It
// returns io.EOF at the end, and only between two frames.
func (f *frameReader) next(line framed) (content string, err error) {
	raw, err := f.readLine()
	if err != nil {
		return "", err
	}
	if err := decodeJSON(raw, line, f.strict); err != nil {
		return "", err
	}
	length := line.contentLength()
	if length == nil {
		return "", nil
	}
	switch {
	case *length < 0:
		return "", errFrame("length is negative")
	case *length > f.most:
		return "", conf.Errorf(conf.ErrTooLarge, "content: %d bytes, more than %d", *length, f.most)
	case *length > f.left:
		return "", conf.Errorf(conf.ErrTooLarge, "contents together: more than allowed")
	}
	f.left -= *length
	if content, err = f.read(*length); err != nil {
		return "", cut(err)
	}
	switch end, err := f.r.ReadByte(); {
	case err != nil:
		return "", cut(err)
	case end != '\n':
		return "", errFrame("no newline after the content")
	}
	return content, nil
}

// read returns the next n bytes.
func (f *frameReader) read(n int64) (string, error) {
	if n <= int64(f.r.Size()) {
		b, err := f.r.Peek(int(n))
		content := string(b)
		_, _ = f.r.Discard(len(b)) // cannot fail: they are in the buffer
		return content, err
	}
	// Memory grows with the bytes that arrive, not with the length that was claimed.
	var b strings.Builder
	b.Grow(int(min(n, 256<<10)))
	_, err := io.CopyN(&b, f.r, n)
	return b.String(), err
}

func (f *frameReader) readLine() ([]byte, error) {
	line, err := f.r.ReadSlice('\n')
	if err == nil {
		return line, nil
	}
	// The line is longer than the reader's buffer: collect it up to the limit.
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(long) > maxLine {
			return nil, errFrame("line has more than %d bytes", maxLine)
		}
		line, err = f.r.ReadSlice('\n')
		long = append(long, line...)
	}
	switch {
	case err == nil:
		return long, nil
	case errors.Is(err, io.EOF) && len(long) == 0:
		return nil, io.EOF
	}
	return nil, cut(err)
}

// cut returns io.ErrUnexpectedEOF for an end within a frame, and other errors unchanged.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decodeJSON decodes exactly one JSON value. Its errors contain nothing of raw except
// the names of fields.
func decodeJSON(raw []byte, into any, strict bool) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if strict {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(into); err != nil {
		return invalidJSON(err)
	}
	if len(bytes.Trim(raw[dec.InputOffset():], " \t\r\n")) > 0 {
		return conf.Errorf(conf.ErrInvalid, "json: something follows the value")
	}
	return nil
}
