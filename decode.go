package diamond

import (
	"errors"

	"github.com/linnaname/gdiamond/internal/codec"
	"github.com/linnaname/gdiamond/internal/document"
)

// Decode makes a T of config by the rules of [Bind], and with its options. It is
// for listeners that make typed values of several keys; see
// [Client].SubscribeTogether. A config without a value, such as that of a key
// which is not in a map, stands for the default.
//
// Errors: ErrNotFound where there is neither a value nor a default, or why the
// value cannot be used.
func Decode[T any](config Config, opts ...BindOption) (*T, error) {
	d := decoder[T]{key: config.Key}
	for _, o := range opts {
		o(&d.bindConfig)
	}
	v, err := d.decodeOrDefault(&config)
	if err != nil {
		return nil, opError("decode", config.Key, err)
	}
	return v, nil
}

// decoder makes values of contents.
type decoder[T any] struct {
	bindConfig
	key Key
}

// fresh returns a new T that nothing shares, with the defaults.
func (d *decoder[T]) fresh() (*T, error) {
	v := new(T)
	if s, ok := any(v).(interface{ SetDefaults() }); ok {
		s.SetDefaults()
	}
	if !d.hasDefault {
		return v, nil
	}
	return v, d.read(d.defaultType, d.defaultContent, v)
}

// defaultConfig returns what a default was made of.
func (d *decoder[T]) defaultConfig() Config {
	return Config{
		Entry: Entry{
			Key: d.key, Content: d.defaultContent, Type: d.defaultType,
			MD5: MD5Hex(d.defaultContent), Size: int64(len(d.defaultContent)),
		},
		Source: SourceDefault,
	}
}

// decode returns the T that a content stands for.
func (d *decoder[T]) decode(config *Config) (*T, error) {
	v, err := d.fresh()
	if err != nil {
		return nil, err
	}
	if d.bindConfig.decode != nil {
		err = d.bindConfig.decode([]byte(config.Content), v)
	} else {
		err = d.read(config.Type, config.Content, v)
	}
	if err != nil {
		return nil, err
	}
	return v, d.check(v)
}

// read decodes content by its type.
func (d *decoder[T]) read(typ, content string, v *T) error {
	if typ == "" {
		typ = TypeOf(d.key.DataID)
	}
	err := codec.Decode(typ, []byte(content), v, d.strict)
	if errors.Is(err, document.ErrNothing) && d.hasDefault {
		return nil // it stands for the default
	}
	if err != nil {
		return Errorf(ErrInvalid, "%s", err.Error())
	}
	return nil
}

// check has a value pass all that is said about valid ones.
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

// decodeOrDefault returns the T that config stands for, or the default where it
// has no value.
func (d *decoder[T]) decodeOrDefault(config *Config) (*T, error) {
	switch {
	case config.Source != SourceNone && !config.Deleted:
		return d.decode(config)
	case !d.hasDefault:
		return nil, Errorf(ErrNotFound, "there is neither a value nor a default")
	}
	v, err := d.fresh()
	if err != nil {
		return nil, err
	}
	return v, d.check(v)
}

// BindOption changes how [Bind] makes values of contents.
type BindOption func(*bindConfig)

type bindConfig struct {
	hasDefault     bool
	defaultType    string
	defaultContent string
	decode         func(data []byte, v any) error
	validate       func(v any) error
	strict         bool
}

// WithDefault has Bind succeed where there is no value, or none that can be
// used: with what content, written in typ, decodes to. Every published value
// is decoded onto a fresh copy of it, so it need not say all. It must itself
// decode and be valid.
func WithDefault(typ, content string) BindOption {
	return func(c *bindConfig) { c.hasDefault, c.defaultType, c.defaultContent = true, typ, content }
}

// WithDecoder sets how published contents are decoded; by default by their
// type. v is a pointer to a fresh value. Of its errors nothing is logged.
func WithDecoder(decode func(data []byte, v any) error) BindOption {
	return func(c *bindConfig) { c.decode = decode }
}

// WithValidator sets a check that a fresh value must pass before it is used;
// v is a pointer to it. It comes before the value's own Validate method.
func WithValidator(validate func(v any) error) BindOption {
	return func(c *bindConfig) { c.validate = validate }
}

// WithStrict makes fields an error that the type does not have; by default
// they are passed over. With a decoder of your own it has no effect.
func WithStrict() BindOption {
	return func(c *bindConfig) { c.strict = true }
}
