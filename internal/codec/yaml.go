package codec

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

func decodeYAML(data []byte, target any, strict bool) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(strict)
	if err := dec.Decode(target); err != nil {
		if err == io.EOF { // nothing but comments: says nothing, as an empty TOML does
			return nil
		}
		return yamlError(err)
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		return errorf(second.Line, reasonSecond)
	} else if err != io.EOF {
		return yamlError(err)
	}
	return nil
}

// yamlLine is how the messages of the YAML decoder begin.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// yamlError keeps the line and the kind of a message, the rest of which quotes the content.
func yamlError(err error) error {
	types, ok := errors.AsType[*yaml.TypeError](err)
	if !ok || len(types.Errors) == 0 {
		line, _ := cutYAMLLine(err.Error())
		return errorf(line, "not valid YAML")
	}
	line, message := cutYAMLLine(types.Errors[0])
	switch {
	case strings.HasPrefix(message, "cannot unmarshal "):
		// What follows the last "into" is a Go type.
		if i := strings.LastIndex(message, " into "); i >= 0 {
			return errorf(line, "%s: it is of type %s", reasonMisfit, message[i+len(" into "):])
		}
		return errorf(line, reasonMisfit)
	case strings.Contains(message, " not found in type "):
		return errorf(line, reasonUnknownField)
	case strings.Contains(message, " already "):
		return errorf(line, "a field appears twice")
	}
	return errorf(line, reasonMisfit)
}

func cutYAMLLine(message string) (line int, rest string) {
	m := yamlLine.FindStringSubmatch(message)
	if m == nil {
		return 0, message
	}
	line, _ = strconv.Atoi(m[1])
	return line, message[len(m[0]):]
}
