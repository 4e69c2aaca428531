package rpc

import "sync"

// classes are the sizes of pooled buffers: a small call or reply, a directory
// page, and the largest data transfers with their headers.
var classes = [...]int{1 << 10, 8 << 10, 72 << 10, 264 << 10, 1<<20 + 8<<10}

// Pool lends buffers. Its zero value is ready, for concurrent use.
type Pool struct {
	pools [len(classes)]sync.Pool
}

// Buffer is memory on loan from a Pool. B may be appended to, sliced and
// replaced.
type Buffer struct {
	B     []byte
	mem   []byte
	class int
}

// Get lends a buffer of length 0 with room for n bytes at least.
func (p *Pool) Get(n int) *Buffer {
	for i, size := range classes {
		if n > size {
			continue
		}
		if b, ok := p.pools[i].Get().(*Buffer); ok {
			b.B = b.mem[:0]
			return b
		}
		mem := make([]byte, 0, size)
		return &Buffer{B: mem, mem: mem, class: i}
	}
	return &Buffer{B: make([]byte, 0, n), class: -1}
}

// Put takes b back; nobody may use it or what it held any more. nil is nothing.
func (p *Pool) Put(b *Buffer) {
	if b == nil || b.class < 0 {
		return
	}
	b.B = nil
	p.pools[b.class].Put(b)
}
