package memfs

const (
	pageSize    = 4096
	extentPages = 64
)

type page [pageSize]byte

// extent is a run of pages; a nil page is a hole.
type extent struct {
	page  [extentPages]*page
	count int
}

// pages is the data of a sparse file. The zero value is all hole.
type pages struct {
	extents map[uint64]*extent
	count   int64
}

func (p *pages) get(i uint64) *page {
	if e := p.extents[i/extentPages]; e != nil {
		return e.page[i%extentPages]
	}
	return nil
}

// missing counts the holes among the pages of length bytes at off.
func (p *pages) missing(off uint64, length int) int64 {
	var holes int64
	if length == 0 {
		return 0
	}
	for i, last := off/pageSize, (off+uint64(length)-1)/pageSize; i <= last; i++ {
		if p.get(i) == nil {
			holes++
		}
	}
	return holes
}

func (p *pages) make(i uint64) *page {
	if p.extents == nil {
		p.extents = make(map[uint64]*extent)
	}
	e := p.extents[i/extentPages]
	if e == nil {
		e = new(extent)
		p.extents[i/extentPages] = e
	}
	pg := e.page[i%extentPages]
	if pg == nil {
		pg = new(page)
		e.page[i%extentPages] = pg
		e.count++
		p.count++
	}
	return pg
}

func (p *pages) write(b []byte, off uint64) {
	for len(b) > 0 {
		n := copy(p.make(off / pageSize)[off%pageSize:], b)
		b, off = b[n:], off+uint64(n)
	}
}

func (p *pages) read(b []byte, off uint64) {
	for len(b) > 0 {
		n := min(len(b), int(pageSize-off%pageSize))
		if pg := p.get(off / pageSize); pg != nil {
			copy(b[:n], pg[off%pageSize:])
		} else {
			clear(b[:n])
		}
		b, off = b[n:], off+uint64(n)
	}
}

// truncate drops what lies behind size and returns how many pages that frees.
func (p *pages) truncate(size uint64) int64 {
	before := p.count
	keep := (size + pageSize - 1) / pageSize // pages that stay
	for k, e := range p.extents {
		first := k * extentPages
		if first+extentPages <= keep {
			continue
		}
		from := uint64(0)
		if keep > first {
			from = keep - first
		}
		for i := from; i < extentPages; i++ {
			if e.page[i] != nil {
				e.page[i] = nil
				e.count--
				p.count--
			}
		}
		if e.count == 0 {
			delete(p.extents, k)
		}
	}
	if rest := size % pageSize; rest != 0 {
		if pg := p.get(size / pageSize); pg != nil {
			clear(pg[rest:]) // growing again must show zeros
		}
	}
	return before - p.count
}
