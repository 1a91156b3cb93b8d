package order

// middle uses what leaf.go defines, of every kind.
type middle[T any] struct {
	leaf
	of T
}

func (m *middle[T]) isGone() bool { return gone(m.leaf) }

// all hides three names of the package.
func (m *middle[T]) all() (gone bool) {
	for held := range size {
		switch short := any(m.of).(type) {
		case int:
			gone = m.field > short+held
		}
	}
	return gone || m.method() > 0
}
