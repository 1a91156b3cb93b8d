package codec

import (
	"bytes"
	"errors"

	"github.com/pelletier/go-toml/v2"
)

func decodeTOML(data []byte, target any, strict bool) error {
	dec := toml.NewDecoder(bytes.NewReader(data))
	if strict {
		dec.DisallowUnknownFields()
	}
	err := dec.Decode(target)
	if err == nil {
		return nil
	}
	if missing, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(missing.Errors) > 0 {
		line, _ := missing.Errors[0].Position()
		return errorf(line, reasonUnknownField)
	}
	line := 0
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ = at.Position()
	}
	// Its messages quote the content; whether the text or the target is at fault shows without it.
	if toml.Unmarshal(data, new(map[string]any)) != nil {
		return errorf(line, "not valid TOML")
	}
	return errorf(line, reasonMisfit)
}
