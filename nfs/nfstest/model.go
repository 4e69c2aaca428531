package nfstest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/moorage/moorage/nfs"
)

var modelChecks = []check{
	{"Seed1", func(e *env) { e.testModel(1) }},
	{"Seed2", func(e *env) { e.testModel(2) }},
	{"Seed3", func(e *env) { e.testModel(3) }},
}

// modelSteps is how many operations one seed makes.
const modelSteps = 2500

// object is what the model knows of one object.
type object struct {
	id     nfs.ID
	typ    nfs.FileType
	mode   uint32
	links  uint32
	data   []byte
	target string
	parent *object
	names  map[string]*object
}

// model is a simple file system: the truth that the real one is compared with.
type model struct {
	*env
	r    *rand.Rand
	root *object
	open []*object // unlinked files that are used on
	log  []string  // the last steps, to explain a failure
}

func (e *env) testModel(seed uint64) {
	for _, missing := range []bool{!has[nfs.Creator](e), !has[nfs.Writer](e), !has[nfs.AttrSetter](e), !has[nfs.Remover](e), !has[nfs.Renamer](e)} {
		if missing {
			e.Skip("the file system cannot create, write, set attributes, remove and rename")
		}
	}
	m := &model{env: e, r: rand.New(rand.NewPCG(seed, 0)), root: &object{id: e.base, typ: nfs.TypeDirectory, mode: 0o755, names: map[string]*object{}}}
	m.root.parent = m.root
	for step := range modelSteps {
		m.step()
		if step%100 == 99 || e.Failed() {
			m.compare(m.root)
			for _, o := range m.open {
				m.compareData(o)
			}
		}
		if e.Failed() {
			e.Fatalf("seed %d, step %d; the last steps:\n%s", seed, step, strings.Join(m.log, "\n"))
		}
	}
	e.consistent(e.base)
}

func has[T any](e *env) bool { _, ok := e.fs.(T); return ok }

func (m *model) logf(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
	if len(m.log) > 15 {
		m.log = m.log[1:]
	}
}

// dir picks a directory that is not too deep.
func (m *model) dir() *object {
	d := m.root
	for range m.r.IntN(4) {
		if o := d.names[m.name()]; o != nil && o.typ == nfs.TypeDirectory {
			d = o
		}
	}
	return d
}

func (m *model) name() string { return string(rune('a' + m.r.IntN(7))) }

// regular picks a file, with a name or without.
func (m *model) regular() *object {
	if len(m.open) > 0 && m.r.IntN(4) == 0 {
		return m.open[m.r.IntN(len(m.open))]
	}
	for range 20 {
		if o := m.dir().names[m.name()]; o != nil && o.typ == nfs.TypeRegular {
			return o
		}
	}
	return nil
}

func below(d, top *object) bool {
	for ; ; d = d.parent {
		if d == top {
			return true
		}
		if d == d.parent {
			return false
		}
	}
}

// lose takes one name from o.
func (m *model) lose(o *object) {
	o.links--
	if o.links == 0 && o.typ == nfs.TypeRegular {
		if m.open = append(m.open, o); len(m.open) > 3 {
			m.open = m.open[1:]
		}
	}
}

func (m *model) step() {
	switch n := m.r.IntN(20); {
	case n < 4:
		m.stepCreate()
	case n < 6:
		m.stepMkdir()
	case n == 6:
		m.stepSymlink()
	case n == 7:
		m.stepLink()
	case n < 10:
		m.stepRemove()
	case n < 14:
		m.stepRename()
	case n < 17:
		m.stepWrite()
	case n == 17:
		m.stepTruncate()
	case n == 18:
		m.stepRead()
	default:
		m.stepChmod()
	}
}

func (m *model) stepCreate() {
	d, name := m.dir(), m.name()
	how := nfs.CreateHow{Mode: nfs.CreateMode(m.r.IntN(2)), Set: mode(0o600 | uint32(m.r.IntN(64)))}
	cut := m.r.IntN(2) == 0
	if cut {
		how.Set.Valid |= nfs.SetSize
	}
	m.logf("create %d %q way %d cut %v", d.id, name, how.Mode, cut)
	a, err := m.create(m.owner, d.id, name, how)
	switch o := d.names[name]; {
	case o == nil:
		m.want("create", err, nfs.OK)
		d.names[name] = &object{id: a.ID, typ: nfs.TypeRegular, mode: how.Set.Mode, links: 1}
	case how.Mode == nfs.Guarded:
		m.want("guarded create", err, nfs.ErrExist)
	case o.typ != nfs.TypeRegular:
		m.want("unchecked create", err, nfs.ErrExist, nfs.ErrIsDir, nfs.ErrInval)
	default:
		m.want("unchecked create", err, nfs.OK)
		if cut {
			o.data = nil
		}
		if a.ID != o.id {
			m.Errorf("unchecked create: id %d, want %d", a.ID, o.id)
		}
	}
}

func (m *model) stepMkdir() {
	d, name := m.dir(), m.name()
	m.logf("mkdir %d %q", d.id, name)
	a, err := m.tryMkdir(m.owner, d.id, name, mode(0o755))
	if d.names[name] != nil {
		m.want("mkdir", err, nfs.ErrExist)
		return
	}
	m.want("mkdir", err, nfs.OK)
	d.names[name] = &object{id: a.ID, typ: nfs.TypeDirectory, mode: 0o755, parent: d, names: map[string]*object{}}
}

func (m *model) stepSymlink() {
	if !has[nfs.Symlinker](m.env) {
		return
	}
	d, name, target := m.dir(), m.name(), m.name()+"/"+m.name()
	m.logf("symlink %d %q", d.id, name)
	a, err := m.symlink(m.owner, d.id, name, target)
	if d.names[name] != nil {
		m.want("symlink", err, nfs.ErrExist)
		return
	}
	m.want("symlink", err, nfs.OK)
	d.names[name] = &object{id: a.ID, typ: nfs.TypeSymlink, mode: a.Mode, links: 1, target: target}
}

func (m *model) stepLink() {
	from, to, name := m.dir().names[m.name()], m.dir(), m.name()
	if from == nil || from.typ == nfs.TypeSymlink || !has[nfs.Linker](m.env) {
		return
	}
	m.logf("link %d as %d %q", from.id, to.id, name)
	err := m.link(m.owner, from.id, to.id, name)
	switch {
	case from.typ == nfs.TypeDirectory:
		m.want("link to a directory", err, nfs.ErrPerm, nfs.ErrIsDir, nfs.ErrExist)
	case to.names[name] != nil:
		m.want("link", err, nfs.ErrExist)
	default:
		m.want("link", err, nfs.OK)
		from.links++
		to.names[name] = from
	}
}

func (m *model) stepRemove() {
	d, name := m.dir(), m.name()
	o := d.names[name]
	asDir := m.r.IntN(2) == 0
	m.logf("remove %d %q, as directory %v", d.id, name, asDir)
	var err error
	want := nfs.OK
	if asDir {
		err = m.rmdir(m.owner, d.id, name)
		switch {
		case o == nil:
			want = nfs.ErrNoEnt
		case o.typ != nfs.TypeDirectory:
			want = nfs.ErrNotDir
		case len(o.names) != 0:
			want = nfs.ErrNotEmpty
		}
	} else {
		err = m.remove(m.owner, d.id, name)
		switch {
		case o == nil:
			want = nfs.ErrNoEnt
		case o.typ == nfs.TypeDirectory:
			want = nfs.ErrIsDir
		}
	}
	m.want("remove", err, want)
	if want == nfs.OK {
		delete(d.names, name)
		m.lose(o)
	}
}

func (m *model) stepRename() {
	fd, from, td, to := m.dir(), m.name(), m.dir(), m.name()
	src, dst := fd.names[from], td.names[to]
	m.logf("rename %d %q to %d %q", fd.id, from, td.id, to)
	err := m.rename(m.owner, fd.id, from, td.id, to)
	isDir := func(o *object) bool { return o.typ == nfs.TypeDirectory }
	want := []nfs.Status{nfs.OK}
	switch {
	case src == nil:
		want = []nfs.Status{nfs.ErrNoEnt}
	case isDir(src) && below(td, src):
		want = []nfs.Status{nfs.ErrInval}
		if dst == src {
			want = []nfs.Status{nfs.OK}
		}
	case dst == nil || dst == src:
	case isDir(dst) && below(fd, dst):
		want = []nfs.Status{nfs.ErrNotEmpty}
		if !isDir(src) {
			want = append(want, nfs.ErrIsDir)
		}
	case isDir(src) && !isDir(dst):
		want = []nfs.Status{nfs.ErrNotDir}
	case !isDir(src) && isDir(dst):
		want = []nfs.Status{nfs.ErrIsDir}
	case isDir(dst) && len(dst.names) != 0:
		want = []nfs.Status{nfs.ErrNotEmpty}
	}
	m.want("rename", err, want...)
	if want[0] != nfs.OK || src == dst {
		return
	}
	delete(fd.names, from)
	td.names[to] = src
	if isDir(src) {
		src.parent = td
	}
	if dst != nil {
		m.lose(dst)
	}
}

// grow returns data with at least n bytes.
func grow(data []byte, n int) []byte {
	if len(data) < n {
		data = append(data, make([]byte, n-len(data))...)
	}
	return data
}

func (m *model) stepWrite() {
	o := m.regular()
	if o == nil {
		return
	}
	off, p := m.r.IntN(20000), make([]byte, 1+m.r.IntN(9000))
	for i := range p {
		p[i] = byte(m.r.Uint32())
	}
	m.logf("write %d: %d bytes at %d", o.id, len(p), off)
	m.want("write", m.tryWrite(m.owner, o.id, string(p), uint64(off)), nfs.OK)
	o.data = grow(o.data, off+len(p))
	copy(o.data[off:], p)
}

func (m *model) stepTruncate() {
	o := m.regular()
	if o == nil {
		return
	}
	size := m.r.IntN(30000)
	m.logf("truncate %d to %d", o.id, size)
	m.want("truncate", m.trySet(m.owner, o.id, nfs.SetAttr{Valid: nfs.SetSize, Size: uint64(size)}), nfs.OK)
	o.data = append([]byte(nil), grow(o.data, size)[:size]...)
}

func (m *model) stepRead() {
	if o := m.regular(); o != nil {
		m.logf("read %d", o.id)
		m.compareData(o)
	}
}

func (m *model) stepChmod() {
	o, perm := m.regular(), uint32(m.r.IntN(0o1000))
	if o == nil {
		return
	}
	m.logf("chmod %d to %o", o.id, perm)
	m.want("chmod", m.trySet(m.owner, o.id, mode(perm)), nfs.OK)
	o.mode = perm
}

func (m *model) compareData(o *object) {
	a := m.attr(o.id)
	if a.Size != uint64(len(o.data)) || a.Mode != o.mode || a.Nlink != o.links && o.links > 0 {
		m.Errorf("file %d: size %d, mode %o, %d links; want %d, %o, %d", o.id, a.Size, a.Mode, a.Nlink, len(o.data), o.mode, o.links)
	}
	if got := m.read(m.owner, o.id, 0, 40000); got != string(o.data) {
		m.Errorf("file %d does not hold what was written", o.id)
	}
}

// compare checks everything below d against the model.
func (m *model) compare(d *object) {
	entries := m.list(d.id, 3, false)
	for _, de := range entries {
		if o := d.names[de.Name]; o == nil || o.id != de.ID {
			m.Errorf("directory %d lists %q with id %d, want %+v", d.id, de.Name, de.ID, o)
		}
	}
	if len(entries) != len(d.names) {
		m.Errorf("directory %d has %d entries, want %d", d.id, len(entries), len(d.names))
	}
	for name, o := range d.names {
		a := m.lookup(d.id, name)
		if a.ID != o.id || a.Type != o.typ || a.Mode != o.mode {
			m.Errorf("%q in directory %d is %+v, want %+v", name, d.id, a, o)
		}
		switch o.typ {
		case nfs.TypeDirectory:
			m.compare(o)
		case nfs.TypeRegular:
			m.compareData(o)
		case nfs.TypeSymlink:
			if got, err := m.fs.(nfs.LinkReader).Readlink(m.ctx, m.owner, o.id); err != nil || got != o.target {
				m.Errorf("link %d leads to %q, %v; want %q", o.id, got, err, o.target)
			}
		}
	}
}
