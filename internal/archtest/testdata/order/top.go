//go:build !other_system

package order

// held hides nothing: no package-level name is called wanted.
func held(wanted *middle[int]) bool { return wanted.all() || wanted.of > 0 }

func short() bool { return held(&middle[int]{}) }

var _ = short
