// Package rawbytes gives access to the bytes of a string without a copy. A content is hashed
// several times on its way, and a copy for each hash would cost as much as the hash.
package rawbytes

import "unsafe"

// Of returns the bytes of s without a copy. The result is never nil, and must not be written
// to.
func Of(s string) []byte {
	if s == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
