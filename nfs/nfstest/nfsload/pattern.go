package main

import (
	"bytes"
	"math/rand/v2"
)

// patternPeriod is a prime, so that no two blocks of a file of up to 2^18 of
// them have the same data, and small enough to stay in the processor's cache.
const patternPeriod = 262147

// pattern is the data of all files: byte i of pass p is pattern byte i+p*4099,
// modulo the period. A block that comes from elsewhere, or from an earlier
// pass, is therefore noticed.
type pattern struct {
	b []byte // the period and a block more
}

// newPattern makes a pattern for blocks of at most block bytes.
func newPattern(block int) *pattern {
	b := make([]byte, patternPeriod, patternPeriod+block)
	src := rand.NewChaCha8([32]byte([]byte("the data of all files of nfsload")))
	src.Read(b)
	for len(b) < cap(b) {
		b = append(b, b[:min(patternPeriod, cap(b)-len(b))]...)
	}
	return &pattern{b}
}

// at is the n bytes of a file at off as pass writes them. They must not change.
func (p *pattern) at(off, pass, n int) []byte {
	i := (off + pass*4099) % patternPeriod
	return p.b[i : i+n : i+n]
}

// holds reports whether b is what a file of pass has at off.
func (p *pattern) holds(b []byte, off, pass int) bool {
	return bytes.Equal(b, p.at(off, pass, len(b)))
}
