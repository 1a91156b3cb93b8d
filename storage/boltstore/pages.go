package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"github.com/linnaname/gdiamond/conf"
)

// The parts of the layout of bbolt's file, version 2, that are verified here: offsets of
// fields in bytes.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader  = 16 // id 8, flags 2, count 2, overflow 4
	pageElement = 16 // leaf: flags 4, position 4, key size 4, value size 4; branch: position 4, key size 4, page 8

	metaSize     = 64 // with its checksum, after a page header
	metaChecksum = 56

	branchPage = 0x01
	leafPage   = 0x02

	bucketHeader  = 16 // root page 8, sequence 8
	bucketElement = 0x01

	maxDepth = 64
)

// pages verifies the structure of a file, which is in the machine's byte order. Each page
// must have the type that its place requires, no pointer may lead outside its page or the
// file, no page may be used twice, and keys must be in order. Then bbolt can map the file
// safely.
type pages struct {
	file io.ReaderAt
	size int64 // of a page
	high uint64
	seen []bool
}

// checkPages verifies the file at path.
func checkPages(path string) error {
	return withMeta(path, func(root uint64, p *pages) error { return p.tree(root, nil, nil, 0) })
}

// checkLength verifies that the file at path has a good meta page and all of its pages.
// Otherwise bbolt would take a truncated file for a new one.
func checkLength(path string) error {
	return withMeta(path, func(uint64, *pages) error { return nil })
}

func withMeta(path string, check func(root uint64, p *pages) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	root, p, err := readMeta(f, info.Size())
	if err != nil {
		return err
	}
	return check(root, p)
}

func damaged(format string, args ...any) error {
	return conf.Errorf(conf.ErrCorrupt, "the file is damaged: %s", fmt.Sprintf(format, args...))
}

// readMeta returns the root page according to the newest good meta page.
func readMeta(f io.ReaderAt, length int64) (root uint64, p *pages, err error) {
	var newest uint64
	try := func(offset int64) {
		b := make([]byte, metaSize)
		if n, _ := f.ReadAt(b, offset+pageHeader); n < metaSize || binary.NativeEndian.Uint32(b) != boltMagic || binary.NativeEndian.Uint32(b[4:]) != boltVersion {
			return
		}
		sum := fnv.New64a()
		sum.Write(b[:metaChecksum])
		size, txid := int64(binary.NativeEndian.Uint32(b[8:])), binary.NativeEndian.Uint64(b[48:])
		if sum.Sum64() != binary.NativeEndian.Uint64(b[metaChecksum:]) || (offset != 0 && offset != size) || (p != nil && txid <= newest) {
			return
		}
		newest, root = txid, binary.NativeEndian.Uint64(b[16:])
		p = &pages{file: f, size: size, high: binary.NativeEndian.Uint64(b[40:])}
	}
	try(0)
	if p != nil {
		try(p.size)
	} else {
		for size := int64(1 << 10); size <= 1<<24; size <<= 1 {
			try(size)
		}
	}
	switch {
	case p == nil:
		return 0, nil, damaged("it has no good meta page")
	case p.size < 1<<10 || p.high > uint64(length/p.size):
		return 0, nil, damaged("it has %d bytes, and pages for more", length)
	}
	p.seen = make([]bool, p.high)
	return root, p, nil
}

// tree verifies the page with an id and all pages below it. Its keys must be at least low
// and less than high, if these are given.
func (p *pages) tree(id uint64, low, high []byte, depth int) error {
	if depth > maxDepth {
		return damaged("page %d is %d levels deep", id, depth)
	}
	if id < 2 || id >= p.high {
		return damaged("page %d does not exist", id)
	}
	first := make([]byte, p.size)
	if _, err := p.file.ReadAt(first, int64(id)*p.size); err != nil {
		return damaged("page %d: %v", id, err)
	}
	overflow := uint64(binary.NativeEndian.Uint32(first[12:]))
	if binary.NativeEndian.Uint64(first) != id || overflow >= p.high-id {
		return damaged("page %d is not what its place says", id)
	}
	for i := id; i <= id+overflow; i++ {
		if p.seen[i] {
			return damaged("page %d is used twice", i)
		}
		p.seen[i] = true
	}
	return p.elements(id, section{p.file, int64(id) * p.size, int64(overflow+1) * p.size, first}, low, high, depth)
}

// section has the bytes of a page: a part of the file, or of a row that has a small
// bucket.
type section struct {
	file   io.ReaderAt
	offset int64
	length int64
	first  []byte // the bytes that were read already
}

func (s section) bytes(at, n int64) ([]byte, error) {
	if at < 0 || n < 0 || at > s.length || n > s.length-at {
		return nil, damaged("something points out of its page")
	}
	if at+n <= int64(len(s.first)) {
		return s.first[at : at+n], nil
	}
	b := make([]byte, n)
	if _, err := s.file.ReadAt(b, s.offset+at); err != nil {
		return nil, damaged("%v", err)
	}
	return b, nil
}

func (p *pages) elements(id uint64, page section, low, high []byte, depth int) error {
	head, err := page.bytes(0, pageHeader)
	if err != nil {
		return err
	}
	flags, count := binary.NativeEndian.Uint16(head[8:]), int64(binary.NativeEndian.Uint16(head[10:]))
	if flags != branchPage && flags != leafPage || flags == branchPage && count == 0 {
		return damaged("page %d is of no known kind", id)
	}
	table, err := page.bytes(pageHeader, count*pageElement)
	if err != nil {
		return err
	}
	keys := make([][]byte, count+1)
	keys[count] = high
	for i := range count {
		e := table[i*pageElement:]
		position, size := binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:])
		if flags == leafPage {
			position, size = binary.NativeEndian.Uint32(e[4:]), binary.NativeEndian.Uint32(e[8:])
		}
		at := pageHeader + i*pageElement + int64(position)
		if keys[i], err = page.bytes(at, int64(size)); err != nil {
			return err
		}
		switch {
		case i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0,
			i == 0 && bytes.Compare(keys[i], low) < 0,
			high != nil && bytes.Compare(keys[i], high) >= 0:
			return damaged("the keys of page %d are out of order", id)
		}
		if flags == leafPage {
			err = p.value(page, e, at+int64(size), depth)
			if err != nil {
				return err
			}
		}
	}
	if flags == branchPage {
		for i := range count {
			if err := p.tree(binary.NativeEndian.Uint64(table[i*pageElement+8:]), keys[i], keys[i+1], depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// value verifies that the value of a leaf element is within its page. If the value is a
// bucket, it verifies the bucket too.
func (p *pages) value(page section, element []byte, at int64, depth int) error {
	size := int64(binary.NativeEndian.Uint32(element[12:]))
	if at > page.length || size > page.length-at {
		return damaged("a value reaches out of its page")
	}
	switch flags := binary.NativeEndian.Uint32(element); {
	case flags == 0:
		return nil
	case flags != bucketElement || size < bucketHeader:
		return damaged("a value is of no known kind")
	}
	head, err := page.bytes(at, bucketHeader)
	if err != nil {
		return err
	}
	if root := binary.NativeEndian.Uint64(head); root != 0 {
		return p.tree(root, nil, nil, depth+1)
	}
	return p.elements(0, section{page.file, page.offset + at + bucketHeader, size - bucketHeader, nil}, nil, nil, depth+1)
}
