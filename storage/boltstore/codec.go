package boltstore

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"maps"
	"math"
	"slices"

	"github.com/linnaname/gdiamond/conf"
)

// Rows have a format byte, fixed fields, variable-length numbers, length-prefixed
// strings, and a checksum over the row's key and the row. Only a record's content follows
// the checksum, because it has a SHA-256.

const (
	// format is the first byte of every row, except as follows.
	format = 1
	// marked is the first byte of the header of a store that programs which know only
	// format 1 must not open, and of a record with an origin; see [storage.Marks].
	marked = 2
)

// checksumSize is the length of the checksum, CRC-32C, little-endian.
const checksumSize = 4

// encoder appends fields to a row.
type encoder []byte

func (e *encoder) byte(b byte)     { *e = append(*e, b) }
func (e *encoder) raw(b []byte)    { *e = append(*e, b...) }
func (e *encoder) number(n int64)  { *e = binary.AppendUvarint(*e, uint64(n)) } // n >= 0
func (e *encoder) signed(n int64)  { *e = binary.AppendVarint(*e, n) }
func (e *encoder) string(s string) { e.number(int64(len(s))); *e = append(*e, s...) }
func (e *encoder) key(k conf.Key)  { e.string(k.Namespace); e.string(k.Group); e.string(k.DataID) }

func (e *encoder) strings(m map[string]string) {
	e.number(int64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		e.string(k)
		e.string(m[k])
	}
}

// md5 packs 32 hexadecimal digits; see [validMD5].
func (e *encoder) md5(digits string) {
	*e, _ = hex.AppendDecode(*e, []byte(digits))
}

func (e *encoder) position(p pointer) {
	n := p.revision << 1
	if p.installed {
		n |= 1
	}
	e.number(n)
	e.number(int64(p.number))
}

// sum ends the row, or a record's header, with the checksum over key and row.
func (e *encoder) sum(key []byte) {
	*e = binary.LittleEndian.AppendUint32(*e, checksum(key, *e))
}

func checksum(key, row []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, table), table, row)
}

// decoder reads fields from a row. After the first missing field it returns zeros, and
// failed is set.
type decoder struct {
	row    []byte // the whole row
	rest   []byte // not read yet
	failed bool
}

// decode starts reading a row, and reads its format byte.
func decode(row []byte) *decoder {
	d, have := decodeMarked(row)
	if have != format {
		d.failed = true
	}
	return d
}

// decodeMarked is decode for a row that may be marked. It returns the format too.
func decodeMarked(row []byte) (*decoder, byte) {
	d := &decoder{row: row, rest: row}
	have := d.byte()
	if have != format && have != marked {
		d.failed = true
	}
	return d, have
}

func (d *decoder) raw(n int) []byte {
	if d.failed || n < 0 || n > len(d.rest) {
		d.failed = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.raw(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) number() int64 {
	n, size := binary.Uvarint(d.rest)
	if d.raw(size) == nil || size == 0 || n > math.MaxInt64 {
		d.failed = true
		return 0
	}
	return int64(n)
}

func (d *decoder) signed() int64 {
	n, size := binary.Varint(d.rest)
	if d.raw(size) == nil || size == 0 {
		d.failed = true
		return 0
	}
	return n
}

// length reads a number that must not exceed the length of the rest.
func (d *decoder) length() int {
	n := d.number()
	if n > int64(len(d.rest)) {
		d.failed = true
		return 0
	}
	return int(n)
}

func (d *decoder) string() string { return string(d.raw(d.length())) }

func (d *decoder) key() conf.Key {
	return conf.Key{Namespace: d.string(), Group: d.string(), DataID: d.string()}
}

func (d *decoder) strings() map[string]string {
	n := d.length()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, min(n, 64))
	for range n {
		k := d.string()
		m[k] = d.string()
		if d.failed {
			return nil
		}
	}
	return m
}

func (d *decoder) md5() string { return hex.EncodeToString(d.raw(16)) }

func (d *decoder) position() pointer {
	n := d.number()
	number := d.number()
	if number > math.MaxUint32 {
		d.failed = true
	}
	return pointer{installed: n&1 == 1, revision: n >> 1, number: uint32(number)}
}

// sum reads the checksum and compares it.
func (d *decoder) sum(key []byte) {
	n := len(d.row) - len(d.rest)
	if b := d.raw(checksumSize); b == nil || binary.LittleEndian.Uint32(b) != checksum(key, d.row[:n]) {
		d.failed = true
	}
}

// end reports whether the whole row was read and was good.
func (d *decoder) end() bool { return !d.failed && len(d.rest) == 0 }

// validMD5 reports whether digits can be packed. The store accepts no others.
func validMD5(digits string) bool {
	for i := range len(digits) {
		if c := digits[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(digits) == 32
}

// keyBytes returns the row key of k. No part of a key has a zero byte, so row keys are
// unique and in the order of [conf.Key.Compare].
func keyBytes(k conf.Key) []byte {
	b := make([]byte, 0, len(k.Namespace)+len(k.Group)+len(k.DataID)+2)
	b = append(append(b, k.Namespace...), 0)
	b = append(append(b, k.Group...), 0)
	return append(b, k.DataID...)
}
