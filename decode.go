package diamond

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
