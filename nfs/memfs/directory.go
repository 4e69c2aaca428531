package memfs

import (
	"cmp"
	"slices"
)

// entry is one name of a directory. Its cookie is the directory's sequence
// number at the moment when the name came.
type entry struct {
	name   string
	cookie uint64
	node   *node // nil when the name is gone
}

// directory holds names. order is sorted by cookie because it only grows at the
// end; names that went leave an empty entry, and order is cleaned when more
// than half of it is empty.
type directory struct {
	parent  *node
	removed bool
	seq     uint64
	byName  map[string]*entry
	order   []*entry
}

func newDirectory(parent *node) *directory {
	return &directory{parent: parent, seq: firstCookie - 1, byName: make(map[string]*entry)}
}

// add puts a name that is not there.
func (d *directory) add(name string, n *node) {
	d.seq++
	e := &entry{name: name, cookie: d.seq, node: n}
	d.byName[name] = e
	d.order = append(d.order, e)
}

// remove takes a name away that is there.
func (d *directory) remove(e *entry) {
	delete(d.byName, e.name)
	e.node = nil
	if len(d.byName) == 0 {
		d.order = nil
		d.byName = make(map[string]*entry) // a map does not shrink
	} else if len(d.order) > 2*len(d.byName)+16 {
		d.order = slices.DeleteFunc(d.order, func(e *entry) bool { return e.node == nil })
	}
}

// after calls use with the entries behind cookie until it returns false, and
// reports whether the end was reached.
func (d *directory) after(cookie uint64, use func(*entry) bool) bool {
	i, found := slices.BinarySearchFunc(d.order, cookie, func(e *entry, c uint64) int { return cmp.Compare(e.cookie, c) })
	if found {
		i++
	}
	for _, e := range d.order[i:] {
		if e.node != nil && !use(e) {
			return false
		}
	}
	return true
}
