package nfstest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/moorage/moorage/nfs"
)

var concurrentChecks = []check{
	{"OneWins", (*env).testOneWins},
	{"Ranges", (*env).testRanges},
	{"RenameIsAtomic", (*env).testRenameIsAtomic},
	{"NoLoops", (*env).testNoLoops},
	{"Everything", (*env).testEverything},
}

// parallel runs f in n goroutines and waits for them. f must not end the test.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f(i)
		}()
	}
	wg.Wait()
}

// testOneWins: of many callers who make the same name one succeeds.
func (e *env) testOneWins() {
	f := need[nfs.Creator](e)
	for round := range 30 {
		name := fmt.Sprint("n", round)
		var won atomic.Int32
		parallel(4, func(i int) {
			var err error
			switch round % 3 {
			case 0:
				_, _, err = f.Create(e.ctx, e.owner, e.base, name, nfs.CreateHow{Mode: nfs.Guarded})
			case 1:
				_, _, err = f.Create(e.ctx, e.owner, e.base, name, nfs.CreateHow{Mode: nfs.Exclusive, Verifier: [8]byte{byte(i), 1}})
			case 2:
				_, _, err = f.Mkdir(e.ctx, e.owner, e.base, name, nfs.SetAttr{})
			}
			if err == nil {
				won.Add(1)
			} else {
				e.want("to make what somebody else makes", err, nfs.ErrExist)
			}
		})
		if won.Load() != 1 {
			e.Errorf("%d callers have made %s", won.Load(), name)
		}
	}
}

// testRanges writes one file from many sides.
func (e *env) testRanges() {
	f := need[nfs.Writer](e)
	id := e.file(e.owner, e.base, "f", 0o644).ID
	const workers, pieces, size = 4, 40, 3000
	parallel(workers, func(w int) {
		for i := range pieces {
			p := bytes.Repeat([]byte{byte(w*pieces + i + 1)}, size)
			off := uint64((i*workers + w) * size)
			if _, _, err := f.Write(e.ctx, e.owner, id, p, off, nfs.Unstable); err != nil {
				e.Errorf("write: %v", err)
				return
			}
			q := make([]byte, size)
			if n, _, err := e.fs.Read(e.ctx, e.owner, id, q, off); err != nil || n != size || !bytes.Equal(p, q) {
				e.Errorf("what was written at %d reads otherwise (%d bytes, %v)", off, n, err)
			}
		}
	})
	if got := e.attr(id).Size; got != workers*pieces*size {
		e.Errorf("size %d, want %d", got, workers*pieces*size)
	}
	for w := range workers {
		for i := range pieces {
			got := e.read(e.owner, id, uint64((i*workers+w)*size), size)
			if want := bytes.Repeat([]byte{byte(w*pieces + i + 1)}, size); got != string(want) {
				e.Errorf("piece %d of writer %d is damaged", i, w)
			}
		}
	}
}

// testRenameIsAtomic replaces a file again and again: its name is never away,
// and its content is always whole.
func (e *env) testRenameIsAtomic() {
	creator, writer, renamer := need[nfs.Creator](e), need[nfs.Writer](e), need[nfs.Renamer](e)
	put := func(name string, b byte) error {
		a, _, err := creator.Create(e.ctx, e.owner, e.base, name, nfs.CreateHow{Mode: nfs.Guarded})
		if err != nil {
			return err
		}
		_, _, err = writer.Write(e.ctx, e.owner, a.ID, bytes.Repeat([]byte{b}, 2000), 0, nfs.FileSync)
		return err
	}
	e.must("create", put("f", 'a'))
	var done atomic.Bool
	parallel(3, func(i int) {
		if i == 0 {
			defer done.Store(true)
			for n := range 100 {
				if err := put("new", 'a'+byte(n%26)); err != nil {
					e.Errorf("create: %v", err)
					return
				}
				if _, _, err := renamer.Rename(e.ctx, e.owner, e.base, "new", e.base, "f"); err != nil {
					e.Errorf("rename: %v", err)
					return
				}
			}
			return
		}
		for !done.Load() {
			a, err := e.fs.Lookup(e.ctx, e.owner, e.base, "f")
			if err != nil {
				e.Errorf("lookup while the file is replaced: %v", err)
				return
			}
			p := make([]byte, 2000)
			n, _, err := e.fs.Read(e.ctx, e.owner, a.ID, p, 0)
			if err != nil || n != len(p) || slices.ContainsFunc(p, func(b byte) bool { return b != p[0] }) {
				e.Errorf("read while the file is replaced: %d bytes, %v", n, err)
				return
			}
		}
	})
}

// testNoLoops moves two directories into each other at the same time.
func (e *env) testNoLoops() {
	f := need[nfs.Renamer](e)
	for round := range 50 {
		top := e.mkdir(e.owner, e.base, fmt.Sprint(round), 0o755).ID
		dirs := []nfs.ID{e.mkdir(e.owner, top, "0", 0o755).ID, e.mkdir(e.owner, top, "1", 0o755).ID}
		var won atomic.Int32
		parallel(2, func(i int) {
			if _, _, err := f.Rename(e.ctx, e.owner, top, fmt.Sprint(i), dirs[1-i], "in"); err == nil {
				won.Add(1)
			} else {
				e.want("rename of a directory into one that moves below it", err, nfs.ErrInval, nfs.ErrNoEnt)
			}
		})
		if won.Load() != 1 || len(e.list(top, 10, false)) != 1 {
			e.Fatalf("%d of two opposite renames succeeded", won.Load())
		}
	}
}

// testEverything lets several callers do anything at all in two directories,
// and then looks whether what is left is consistent.
func (e *env) testEverything() {
	creator, writer, remover := need[nfs.Creator](e), need[nfs.Writer](e), need[nfs.Remover](e)
	setter, renamer := need[nfs.AttrSetter](e), need[nfs.Renamer](e)
	linker, _ := e.fs.(nfs.Linker)
	dirs := []nfs.ID{e.base, e.mkdir(e.owner, e.base, "sub", 0o755).ID}
	allowed := []nfs.Status{nfs.OK, nfs.ErrNoEnt, nfs.ErrExist, nfs.ErrIsDir, nfs.ErrNotDir, nfs.ErrNotEmpty, nfs.ErrInval, nfs.ErrStale, nfs.ErrPerm}
	parallel(6, func(w int) {
		r := rand.New(rand.NewPCG(uint64(w), 7))
		for range 400 {
			dir, to := dirs[r.IntN(2)], dirs[r.IntN(2)]
			name, other := fmt.Sprint("n", r.IntN(8)), fmt.Sprint("n", r.IntN(8))
			var err error
			op := r.IntN(10)
			switch op {
			case 0:
				_, _, err = creator.Create(e.ctx, e.owner, dir, name, nfs.CreateHow{Mode: nfs.CreateMode(r.IntN(3))})
			case 1:
				_, _, err = creator.Mkdir(e.ctx, e.owner, dir, name, nfs.SetAttr{})
			case 2:
				_, err = remover.Remove(e.ctx, e.owner, dir, name)
			case 3:
				_, err = remover.Rmdir(e.ctx, e.owner, dir, name)
			case 4, 5:
				_, _, err = renamer.Rename(e.ctx, e.owner, dir, name, to, other)
			case 6:
				var eof bool
				if eof, err = e.fs.ReadDir(e.ctx, e.owner, dir, 0, true, func(nfs.DirEntry) bool { return true }); err == nil && !eof {
					e.Error("readdir did not come to the end")
				}
			default:
				var a nfs.Attr
				if a, err = e.fs.Lookup(e.ctx, e.owner, dir, name); err != nil {
					break
				}
				switch {
				case op == 7 && linker != nil:
					_, _, err = linker.Link(e.ctx, e.owner, a.ID, to, other)
				case op == 8:
					_, err = setter.SetAttr(e.ctx, e.owner, a.ID, nfs.SetAttr{Valid: nfs.SetMtimeNow}, nil)
				case a.Type == nfs.TypeRegular:
					_, _, err = writer.Write(e.ctx, e.owner, a.ID, []byte("data"), uint64(r.IntN(9000)), nfs.Unstable)
				}
			}
			e.want(fmt.Sprintf("operation %d", op), err, allowed...)
		}
	})
	e.consistent(e.base)
}

// consistent checks that listings, lookups and link counts below dir agree.
func (e *env) consistent(dir nfs.ID) {
	e.Helper()
	names := map[nfs.ID]uint32{}
	attrs := map[nfs.ID]nfs.Attr{}
	var walk func(dir nfs.ID)
	walk = func(dir nfs.ID) {
		subdirs := uint32(0)
		for _, d := range e.list(dir, 5, true) {
			a := e.lookup(dir, d.Name)
			if a.ID != d.ID {
				e.Errorf("%s is listed with id %d and found with id %d", d.Name, d.ID, a.ID)
			}
			names[a.ID]++
			attrs[a.ID] = a
			if a.Type == nfs.TypeDirectory {
				subdirs++
				if up := e.lookup(a.ID, "..").ID; up != dir {
					e.Errorf("%s/.. is %d, want %d", d.Name, up, dir)
				}
				walk(a.ID)
			}
		}
		if a := e.attr(dir); a.Nlink >= 2 && a.Nlink != subdirs+2 {
			e.Errorf("a directory with %d directories has %d links", subdirs, a.Nlink)
		}
	}
	walk(dir)
	for id, a := range attrs {
		if a.Type != nfs.TypeDirectory && a.Nlink != names[id] {
			e.Errorf("an object with %d names has %d links", names[id], a.Nlink)
		}
		if a.Type == nfs.TypeDirectory && names[id] != 1 {
			e.Errorf("a directory has %d names", names[id])
		}
	}
}
