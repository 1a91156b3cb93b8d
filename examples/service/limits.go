package main

import (
	"fmt"
	"log/slog"
)

// Limits is the type of examples/configs/payment/limits.yaml.
type Limits struct {
	RateLimit int             `yaml:"rate_limit"` // requests a second
	Burst     int             `yaml:"burst"`
	LogLevel  slog.Level      `yaml:"log_level"`
	Features  map[string]bool `yaml:"features"`
}

// Validate refuses values that must never be in force. The previous value then stays.
func (l *Limits) Validate() error {
	if l.RateLimit < 1 || l.Burst < 1 {
		return fmt.Errorf("rate_limit is %d and burst %d; both must be 1 or more", l.RateLimit, l.Burst)
	}
	return nil
}
