package dirfs

import (
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/nfs"
)

const (
	// attrCacheLeast is from how many entries on the attributes of a listing
	// are remembered; asking for those of a few costs little.
	attrCacheLeast = 256
	// attrCacheMost is up to how many entries, some 150 bytes each.
	attrCacheMost = listingWindow
	// attrCacheTime bounds how long what the host does not report can go
	// unnoticed: changes by another hard link and by memory that is mapped.
	attrCacheTime = time.Second
	// watchLimit is how many directories are watched at the same time.
	watchLimit = 64
	// dirtyLimit is how many names of a directory are asked for each time; if
	// more change, nothing that was known of the directory counts any more.
	dirtyLimit = 64
)

// seenAttr is what an entry's attributes were.
type seenAttr struct {
	attr nfs.Attr
	at   time.Time
	gen  uint64
}

// attrView says which remembered attributes of a directory are still right.
type attrView struct {
	gen   uint64
	dirty map[string]bool // names that changed; not to be changed itself
	now   time.Time
}

// recall gives the attributes of entry i of l, if they are known and right.
func (v *attrView) recall(l *listing, i int) (nfs.Attr, bool) {
	if v == nil {
		return nfs.Attr{}, false
	}
	s := l.attrs[i].Load()
	if s == nil || s.gen != v.gen || v.now.Sub(s.at) >= attrCacheTime || v.dirty[l.entries[i].name] {
		return nfs.Attr{}, false
	}
	return s.attr, true
}

// remember keeps attributes that were asked for after v was made. A file with
// several names may change by one that is not in this directory, and what
// changes a subdirectory happens in it.
func (v *attrView) remember(l *listing, i int, a *nfs.Attr) {
	if v == nil || a.Type == nfs.TypeDirectory || a.Nlink > 1 {
		return
	}
	l.attrs[i].Store(&seenAttr{attr: *a, at: v.now, gen: v.gen})
}

// withAttrs makes room for attributes, if l is worth it.
func (l *listing) withAttrs() *listing {
	if n := len(l.entries); n >= attrCacheLeast && n <= attrCacheMost {
		l.attrs = make([]atomic.Pointer[seenAttr], n)
	}
	return l
}
