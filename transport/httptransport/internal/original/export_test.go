package original

import (
	"github.com/linnaname/gdiamond/conf"
)

// ParseProbe is for the fuzz test.
func ParseProbe(probe string) ([]conf.Held, error) {
	return parseProbe(probe, func(int64) error { return nil })
}
