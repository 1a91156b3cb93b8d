package diamond

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
