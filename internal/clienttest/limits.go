package clienttest

import (
	"errors"
)

// Limits is a configuration to bind.
type Limits struct {
	Rate   int            `json:"rate" yaml:"rate" toml:"rate"`
	Burst  int            `json:"burst" yaml:"burst" toml:"burst"`
	Labels map[string]int `json:"labels" yaml:"labels" toml:"labels"`
}

// ErrRate is the error of a Limits that is not valid.
var ErrRate = errors.New("rate must be positive")

// SetDefaults sets the fields that contents may leave out.
func (l *Limits) SetDefaults() { l.Burst = 10 }

// Validate fails with [ErrRate] unless the rate is positive.
func (l Limits) Validate() error {
	if l.Rate <= 0 {
		return ErrRate
	}
	return nil
}
