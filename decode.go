package diamond

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/linnaname/gdiamond/conf"
	"github.com/linnaname/gdiamond/internal/codec"
	"github.com/linnaname/gdiamond/internal/document"
)

// Decode makes a T from config by the rules of [Bind] and with its options.
// Listeners use it to make typed values of several keys; see
// [Client].SubscribeTogether. A config without a value, such as the zero Config of
// a key that is missing from a map, stands for the default.
//
// Errors: ErrNotFound if there is neither a value nor a default, or the reason why
// the value cannot be used.
func Decode[T any](config Config, opts ...BindOption) (*T, error) {
	d := decoder[T]{key: config.Key}
	for _, o := range opts {
		o(&d.bindConfig)
	}
	v, err := d.decodeOrDefault(&config)
	if err != nil {
		return nil, conf.WithOp("decode", config.Key, err)
	}
	return v, nil
}

// decoder makes values from contents.
type decoder[T any] struct {
	bindConfig
	key Key
}

// fresh returns a new T with the defaults, which nothing else refers to.
func (d *decoder[T]) fresh() (*T, error) {
	v := new(T)
	if d.defaultValue != nil {
		value, ok := (*d.defaultValue).(T)
		if !ok {
			return nil, badDefault(fmt.Sprintf("its type is %T and must be %s", *d.defaultValue, reflect.TypeFor[T]()))
		}
		*v = codec.Copy(value).(T)
		return v, nil
	}
	if s, ok := any(v).(interface{ SetDefaults() }); ok {
		s.SetDefaults()
	}
	if !d.hasDefault {
		return v, nil
	}
	if err := d.read(d.defaultType, d.defaultContent, v); err != nil {
		return nil, badDefault(err.Error())
	}
	return v, nil
}

// badDefault returns the error about a default that cannot be used.
func badDefault(reason string) error {
	return conf.Invalidf("the default cannot be used: %s", reason)
}

// defaultConfig returns the config of the default. A default that was given as a value
// has no content.
func (d *decoder[T]) defaultConfig() Config {
	config := Config{Entry: Entry{Key: d.key}, Source: SourceDefault}
	if d.defaultValue == nil {
		config.Content, config.Type = d.defaultContent, d.defaultType
		config.MD5, config.Size = conf.MD5Hex(d.defaultContent), int64(len(d.defaultContent))
	}
	return config
}

// decode returns the T for a content.
func (d *decoder[T]) decode(config *Config) (*T, error) {
	v, err := d.fresh()
	if err != nil {
		return nil, err
	}
	if d.bindConfig.decode != nil {
		err = d.bindConfig.decode([]byte(config.Content), v)
	} else if err = d.read(config.Type, config.Content, v); err != nil {
		err = conf.Invalidf("%s", err.Error())
	}
	if err != nil {
		return nil, err
	}
	return v, d.check(v)
}

// read decodes content according to its type.
func (d *decoder[T]) read(typ, content string, v *T) error {
	if typ == "" {
		typ = conf.TypeOf(d.key.DataID)
	}
	err := codec.Decode(typ, []byte(content), v, d.strict)
	if errors.Is(err, document.ErrNothing) && d.hasDefault {
		return nil // the default stays
	}
	return err
}

// check validates a value by the validator of the options and by its own.
func (d *decoder[T]) check(v *T) error {
	if d.validate != nil {
		if err := d.validate(v); err != nil {
			return err
		}
	}
	if checked, ok := any(v).(interface{ Validate() error }); ok {
		return checked.Validate()
	}
	return nil
}

// decodeOrDefault returns the T for config, or the default if config has no value.
func (d *decoder[T]) decodeOrDefault(config *Config) (*T, error) {
	switch {
	case config.Source != SourceNone && !config.Deleted:
		return d.decode(config)
	case !d.hasDefault:
		return nil, conf.Errorf(ErrNotFound, "there is neither a value nor a default")
	}
	v, err := d.fresh()
	if err != nil {
		return nil, err
	}
	return v, d.check(v)
}

// BindOption changes how [Bind] and [Decode] make values from contents.
type BindOption func(*bindConfig)

type bindConfig struct {
	hasDefault     bool
	defaultValue   *any // or nil if the default is a content
	defaultType    string
	defaultContent string
	decode         func(data []byte, v any) error
	validate       func(v any) error
	strict         bool
}

// WithDefault sets the value for when there is none, or none that can be used. value
// is a T of the [Bind] or [Decode] that it is given to, and must be valid. Each
// published content is decoded onto a deep copy of it, so a content need not set all
// fields; the SetDefaults method of T is then not called. Later changes of value have
// no effect. docs/formats.md says what a copy shares with value.
//
// Bind and Decode fail with ErrInvalid if value is not a T. A *T is not a T, and an
// int, such as a constant, is not an int64.
func WithDefault(value any) BindOption {
	value = codec.Copy(value)
	return func(c *bindConfig) {
		c.hasDefault, c.defaultValue, c.defaultType, c.defaultContent = true, &value, "", ""
	}
}

// WithDefaultContent is [WithDefault] with a content in the format typ, such as an
// embedded file. The SetDefaults method of T is called before the content is decoded.
func WithDefaultContent(typ, content string) BindOption {
	return func(c *bindConfig) {
		c.hasDefault, c.defaultValue, c.defaultType, c.defaultContent = true, nil, typ, content
	}
}

// WithDecoder sets the function that decodes published contents. By default their
// type decides. v points to a fresh value. Its errors are not logged.
func WithDecoder(decode func(data []byte, v any) error) BindOption {
	return func(c *bindConfig) { c.decode = decode }
}

// WithValidator sets a check that each fresh value must pass before it is used. v
// points to the value. The check comes before the Validate method of the value. Its
// errors are what [Value.Err] returns and OnError tells. They are not logged, because
// they may quote the content.
func WithValidator(validate func(v any) error) BindOption {
	return func(c *bindConfig) { c.validate = validate }
}

// WithStrict rejects contents with fields that the type does not have. By default
// such fields are ignored. It has no effect together with [WithDecoder].
func WithStrict() BindOption {
	return func(c *bindConfig) { c.strict = true }
}
