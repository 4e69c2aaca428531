package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// errWrong means that a server answered, but not what it should have.
var errWrong = errors.New("wrong answer")

var procNames = [wire.NumProcs]string{
	"NULL", "GETATTR", "SETATTR", "LOOKUP", "ACCESS", "READLINK", "READ", "WRITE", "CREATE", "MKDIR", "SYMLINK",
	"MKNOD", "REMOVE", "RMDIR", "RENAME", "LINK", "READDIR", "READDIRPLUS", "FSSTAT", "FSINFO", "PATHCONF", "COMMIT",
}

// check is nil if a call succeeded and its results did decode.
func check(d *xdr.Decoder, proc int, status uint32) error {
	if err := d.Done(); err != nil {
		return fmt.Errorf("%s: %w: %w", procNames[proc], errReply, err)
	}
	if status != 0 {
		return fmt.Errorf("%s: %w", procNames[proc], nfs.Status(status))
	}
	return nil
}

// nullJob calls NULL.
type nullJob struct{ counter }

// counter is what jobs count: calls, bytes or entries.
type counter struct{ units int }

func (n *counter) count() int { return n.units }

func (*nullJob) next(c *conn, s int, stop bool) bool {
	if stop {
		return false
	}
	c.begin(s, wire.ProcNull)
	c.end(nil)
	return true
}

func (j *nullJob) done(_ *conn, _ int, results []byte) error {
	j.units++
	if len(results) != 0 {
		return fmt.Errorf("NULL: %w: %d bytes of results", errReply, len(results))
	}
	return nil
}

// object is a file as LOOKUP told of it.
type object struct {
	handle []byte
	fileID uint64 // 0: not told
	name   string
}

// is reports whether attributes are those of the object, an empty file.
func (o *object) is(a *wire.Fattr) bool {
	return a.Type == uint32(nfs.TypeRegular) && a.Size == 0 && (o.fileID == 0 || a.FileID == o.fileID)
}

// smallJob calls GETATTR, LOOKUP or ACCESS for many files by turns.
type smallJob struct {
	counter
	proc  int
	dir   []byte
	files []object
	at    int

	getattr wire.GetattrResult
	lookup  wire.LookupResult
	access  wire.AccessResult
}

const accessRead = 1 // ACCESS3_READ

func (j *smallJob) next(c *conn, s int, stop bool) bool {
	if stop {
		return false
	}
	f := &j.files[j.at]
	c.begin(s, j.proc)
	if j.proc == wire.ProcLookup {
		c.out = xdr.AppendOpaque(xdr.AppendOpaque(c.out, j.dir), f.name)
	} else {
		c.out = xdr.AppendOpaque(c.out, f.handle)
	}
	if j.proc == wire.ProcAccess {
		c.out = xdr.AppendUint32(c.out, accessRead|0x2c)
	}
	c.end(nil)
	c.slots[s].a = j.at
	j.at = (j.at + 1) % len(j.files)
	return true
}

func (j *smallJob) done(c *conn, s int, results []byte) error {
	d := xdr.NewDecoder(results)
	f := &j.files[c.slots[s].a]
	var attr *wire.Fattr
	var status uint32
	good := true
	switch j.proc {
	case wire.ProcGetattr:
		j.getattr.Decode(&d)
		status, attr = j.getattr.Status, &j.getattr.Attr
	case wire.ProcLookup:
		r := &j.lookup
		r.Decode(&d)
		status, attr, good = r.Status, told(&r.Attr), len(r.Handle) > 0
	case wire.ProcAccess:
		r := &j.access
		r.Decode(&d)
		status, attr, good = r.Status, told(&r.Attr), r.Access&accessRead != 0
	}
	if err := check(&d, j.proc, status); err != nil {
		return err
	}
	if !good || attr != nil && !f.is(attr) {
		return fmt.Errorf("%s of %s: %w: %+v", procNames[j.proc], f.name, errWrong, attr)
	}
	j.units++
	return nil
}

func told(p *wire.PostAttr) *wire.Fattr {
	if p.Has {
		return &p.Attr
	}
	return nil
}

// readJob reads a file block by block, from the first on again after the last,
// or at random. With once it reads each block once.
type readJob struct {
	counter
	p            *pattern
	handle       []byte
	pass         int
	blocks, size int
	at, left     int
	random, once bool

	r wire.ReadResult
}

func (j *readJob) next(c *conn, s int, stop bool) bool {
	if j.once && j.left == 0 || !j.once && stop {
		return false
	}
	if j.random {
		j.at = rand.IntN(j.blocks)
	}
	c.begin(s, wire.ProcRead)
	c.out = xdr.AppendOpaque(c.out, j.handle)
	c.out = xdr.AppendUint64(c.out, uint64(j.at)*uint64(j.size))
	c.out = xdr.AppendUint32(c.out, uint32(j.size))
	c.end(nil)
	c.slots[s].a = j.at
	j.at = (j.at + 1) % j.blocks
	j.left--
	return true
}

func (j *readJob) done(c *conn, s int, results []byte) error {
	d := xdr.NewDecoder(results)
	r := &j.r
	r.Decode(&d)
	if err := check(&d, wire.ProcRead, r.Status); err != nil {
		return err
	}
	block := c.slots[s].a
	off := block * j.size
	switch {
	case len(r.Data) != j.size || int(r.Count) != j.size:
		return fmt.Errorf("READ: %w: %d and %d bytes at %d, not %d", errWrong, r.Count, len(r.Data), off, j.size)
	case r.EOF && block != j.blocks-1:
		return fmt.Errorf("READ: %w: EOF at %d", errWrong, off)
	case !j.p.holds(r.Data, off, j.pass):
		return fmt.Errorf("READ: %w: other data at %d", errWrong, off)
	}
	j.units += j.size
	return nil
}

// writeJob writes a file in whole passes, each with other data, and ends each
// with COMMIT unless it writes FILE_SYNC. It stops between passes only.
type writeJob struct {
	counter
	p            *pattern
	handle       []byte
	stable       nfs.Stable
	blocks, size int
	pass         int // which data; counts up
	passes       int // at most; 0: until the time is over

	begun, at, answered int
	verf                [wire.VerfSize]byte
	r                   wire.WriteResult
	commit              wire.CommitResult
}

const isCommit = -1 // in slot.a

// calls is the number of calls in a pass.
func (j *writeJob) calls() int {
	if j.stable == nfs.FileSync {
		return j.blocks
	}
	return j.blocks + 1
}

func (j *writeJob) next(c *conn, s int, stop bool) bool {
	if j.begun == 0 || j.answered == j.calls() {
		if stop || j.begun > 0 && j.begun == j.passes {
			return false
		}
		if j.begun > 0 {
			j.pass++
		}
		j.begun, j.at, j.answered = j.begun+1, 0, 0
	}
	switch {
	case j.at < j.blocks:
		off := j.at * j.size
		c.begin(s, wire.ProcWrite)
		c.out = xdr.AppendOpaque(c.out, j.handle)
		c.out = xdr.AppendUint64(c.out, uint64(off))
		c.out = xdr.AppendUint32(c.out, uint32(j.size))
		c.out = xdr.AppendUint32(c.out, uint32(j.stable))
		c.out = xdr.AppendUint32(c.out, uint32(j.size))
		c.end(j.p.at(off, j.pass, j.size))
		c.slots[s].a = j.at
		j.at++
		return true
	case j.at == j.blocks && j.answered == j.blocks && j.calls() > j.blocks:
		c.begin(s, wire.ProcCommit)
		c.out = xdr.AppendOpaque(c.out, j.handle)
		c.out = xdr.AppendUint32(xdr.AppendUint64(c.out, 0), 0)
		c.end(nil)
		c.slots[s].a = isCommit
		j.at++
		return true
	}
	return false
}

func (j *writeJob) done(c *conn, s int, results []byte) error {
	d := xdr.NewDecoder(results)
	j.answered++
	if c.slots[s].a == isCommit {
		j.commit.Decode(&d)
		if err := check(&d, wire.ProcCommit, j.commit.Status); err != nil {
			return err
		}
		if j.commit.Verf != j.verf {
			return fmt.Errorf("COMMIT: %w: another verifier than WRITE's", errWrong)
		}
		return nil
	}
	r := &j.r
	r.Decode(&d)
	if err := check(&d, wire.ProcWrite, r.Status); err != nil {
		return err
	}
	if int(r.Count) != j.size || r.Committed < uint32(j.stable) {
		return fmt.Errorf("WRITE: %w: count %d, committed %d", errWrong, r.Count, r.Committed)
	}
	if j.answered > 1 && r.Verf != j.verf {
		return fmt.Errorf("WRITE: %w: the verifier changed", errWrong)
	}
	j.verf = r.Verf
	j.units += j.size
	return nil
}

// nameJob creates or removes the files with certain numbers.
type nameJob struct {
	counter
	proc    int
	dir     []byte
	numbers []int
	format  string

	name   []byte
	create wire.NewResult
	remove wire.WccResult
}

func (j *nameJob) next(c *conn, s int, stop bool) bool {
	if len(j.numbers) == 0 || stop {
		return false
	}
	c.begin(s, j.proc)
	j.name = appendName(j.name[:0], j.format, j.numbers[0])
	j.numbers = j.numbers[1:]
	c.out = xdr.AppendOpaque(xdr.AppendOpaque(c.out, j.dir), j.name)
	if j.proc == wire.ProcCreate {
		c.out = xdr.AppendUint32(c.out, uint32(nfs.Guarded))
		c.out = newFile.Append(c.out)
	}
	c.end(nil)
	return true
}

func (j *nameJob) done(_ *conn, _ int, results []byte) error {
	d := xdr.NewDecoder(results)
	var status uint32
	if j.proc == wire.ProcCreate {
		j.create.Decode(&d)
		status = j.create.Status
	} else {
		j.remove.Decode(&d)
		status = j.remove.Status
	}
	if err := check(&d, j.proc, status); err != nil {
		return err
	}
	j.units++
	return nil
}

// resolveJob looks the handles of files up.
type resolveJob struct {
	dir   []byte
	files []object
	at    int
	r     wire.LookupResult
}

func (j *resolveJob) next(c *conn, s int, _ bool) bool {
	if j.at == len(j.files) {
		return false
	}
	c.begin(s, wire.ProcLookup)
	c.out = xdr.AppendOpaque(xdr.AppendOpaque(c.out, j.dir), j.files[j.at].name)
	c.end(nil)
	c.slots[s].a = j.at
	j.at++
	return true
}

func (j *resolveJob) done(c *conn, s int, results []byte) error {
	d := xdr.NewDecoder(results)
	j.r.Decode(&d)
	f := &j.files[c.slots[s].a]
	if err := check(&d, wire.ProcLookup, j.r.Status); err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	f.handle = bytes.Clone(j.r.Handle)
	if j.r.Attr.Has {
		f.fileID = j.r.Attr.Attr.FileID
	}
	return nil
}
