package original

import diamond "github.com/linnaname/gdiamond"

// ParseProbe is for the fuzz test.
func ParseProbe(probe string) ([]diamond.Held, error) {
	return parseProbe(probe, func(int64) error { return nil })
}
