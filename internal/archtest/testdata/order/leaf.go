package order

const size = 1

// leaf uses nothing of other files.
type leaf struct{ field int }

func (l leaf) method() int { return l.field }

func gone(l leaf) bool { return l.method() == size }
