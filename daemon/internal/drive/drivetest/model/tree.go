package model

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/nfs"
)

// node is an object of the part of the drive that one client alone changes.
type node struct {
	id     nfs.ID // 0: not known
	typ    nfs.FileType
	name   string
	up     *node
	kids   map[string]*node
	f      *file
	target string
	past   []string  // paths that it had
	mode   uint32    // with hasMode
	mtime  time.Time // of a file; zero: not known

	hasMode bool // mode is known
}

func newDir(id nfs.ID) *node {
	return &node{id: id, typ: nfs.TypeDirectory, kids: map[string]*node{}}
}

func (n *node) path() string {
	if n.up == nil {
		return n.name
	}
	return n.up.path() + "/" + n.name
}

// put gives a node a name in dir, over what has it.
func (n *node) put(dir *node, name string) {
	if n.up != nil {
		delete(n.up.kids, n.name)
	}
	n.up, n.name = dir, name
	dir.kids[name] = n
}

func (n *node) drop() { delete(n.up.kids, n.name); n.up = nil }

func (n *node) clone(into map[*node]*node) *node {
	c := *n
	into[n] = &c
	if n.f != nil {
		c.f = n.f.clone()
	}
	if n.kids != nil {
		c.kids = map[string]*node{}
		for name, k := range n.kids {
			kc := k.clone(into)
			kc.up = &c
			c.kids[name] = kc
		}
	}
	return &c
}

// walk calls f for n and all that is below it.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, name := range slices.Sorted(maps.Keys(n.kids)) {
		n.kids[name].walk(f)
	}
}

func (n *node) below(o *node) bool {
	for ; n != nil; n = n.up {
		if n == o {
			return true
		}
	}
	return false
}

// seen is an object as the drive shows it.
type seen struct {
	id     nfs.ID
	typ    nfs.FileType
	kids   map[string]*seen
	data   []byte
	target string
	mode   uint32
	mtime  time.Time
	err    error // data cannot be read
}

// match tells how a tree that the drive shows differs from n; "" if not. Ids
// that n does not know are not compared.
func (n *node) match(s *seen) string {
	switch {
	case n.typ != s.typ:
		return fmt.Sprintf("%s is of type %d, not %d", n.path(), s.typ, n.typ)
	case n.id != 0 && n.id != s.id:
		return fmt.Sprintf("%s has id %d, not %d", n.path(), s.id, n.id)
	case n.typ == nfs.TypeSymlink && n.target != s.target:
		return fmt.Sprintf("%s leads to %q, not %q", n.path(), s.target, n.target)
	case n.hasMode && n.mode != s.mode:
		return fmt.Sprintf("%s has mode %o, not %o", n.path(), s.mode, n.mode)
	case !n.mtime.IsZero() && !n.mtime.Equal(s.mtime):
		return fmt.Sprintf("%s is of %v, not %v", n.path(), s.mtime, n.mtime)
	case n.typ == nfs.TypeRegular && s.err != nil:
		return fmt.Sprintf("%s cannot be read: %v", n.path(), s.err)
	case n.typ == nfs.TypeRegular:
		if why := n.f.check(s.data); why != "" {
			return n.path() + ": " + why
		}
	}
	if n.typ != nfs.TypeDirectory {
		return ""
	}
	var why []string
	for name, k := range n.kids {
		if s.kids[name] == nil {
			why = append(why, k.path()+" is not there")
		} else if w := k.match(s.kids[name]); w != "" {
			why = append(why, w)
		}
	}
	for name := range s.kids {
		if n.kids[name] == nil {
			why = append(why, n.path()+"/"+name+" is there")
		}
	}
	slices.Sort(why)
	return strings.Join(why, "; ")
}

// learn takes over what a tree that matches has and n does not know.
func (n *node) learn(s *seen) {
	n.id = s.id
	if n.f != nil && len(n.f.later) > 0 {
		n.f.fuzzy = true
	}
	for name, k := range n.kids {
		k.learn(s.kids[name])
	}
}

// flat is a tree as rough.Remote.Tree gives it.
func (s *seen) flat(rel string, out map[string]string) {
	for name, k := range s.kids {
		at := rel + name
		switch k.typ {
		case nfs.TypeDirectory:
			out[at+"/"] = ""
			k.flat(at+"/", out)
		case nfs.TypeSymlink:
			out[at] = "-> " + k.target
		default:
			out[at] = string(k.data)
			if k.err != nil {
				out[at] = "error: " + k.err.Error()
			}
		}
	}
}

// differ tells how two trees differ, without names that left says to leave out.
func differ(what string, a, b map[string]string, left func(string) bool) string {
	var why []string
	for p, c := range a {
		o, ok := b[p]
		switch {
		case left(p):
		case !ok:
			why = append(why, "only the first has "+p)
		case c != o:
			why = append(why, fmt.Sprintf("%s differs: %s, %s", p, brief(c), brief(o)))
		}
	}
	for p := range b {
		if _, ok := a[p]; !ok && !left(p) {
			why = append(why, "only the second has "+p)
		}
	}
	if len(why) == 0 {
		return ""
	}
	slices.Sort(why)
	return what + ": " + strings.Join(why, "; ")
}

func brief(s string) string {
	if strings.HasPrefix(s, "error: ") {
		return s
	}
	return fmt.Sprintf("%d bytes %x", len(s), s[:min(len(s), 8)])
}

// cells are the contents of the shared part: cells of 512 bytes, each of one
// number, so that it can be told who wrote it.
const cellSize = 512

func cell(id uint64) []byte {
	var w [8]byte
	for i := range w {
		w[i] = byte(id >> (8 * (7 - i)))
	}
	return bytes.Repeat(w[:], cellSize/8)
}

func cells(ids []uint64) []byte {
	var b []byte
	for _, id := range ids {
		b = append(b, cell(id)...)
	}
	return b
}

// parse gives the numbers of the cells of a content.
func parse(b []byte) (ids []uint64, err error) {
	if len(b)%cellSize != 0 {
		return nil, fmt.Errorf("%d bytes", len(b))
	}
	for ; len(b) > 0; b = b[cellSize:] {
		var id uint64
		for _, c := range b[:8] {
			id = id<<8 | uint64(c)
		}
		if id == 0 || !bytes.Equal(b[:cellSize], cell(id)) {
			return nil, fmt.Errorf("a cell that nobody wrote: %x", b[:24])
		}
		ids = append(ids, id)
	}
	return ids, nil
}
