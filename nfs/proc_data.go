package nfs

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

// errNoProgress is for a file system whose Read returns nothing before the end:
// sent on, it would make clients ask for ever or give up.
var errNoProgress = errors.New("nfs: read returned no data before the end of the file")

// readHead is the size of all that precedes the data in a reply to READ that
// carries attributes: mark, RPC header, status, attributes, count, eof, length.
const readHead = 4 + rpc.ReplySize + 4 + 4 + wire.AttrSize + 4 + 4 + 4

// read is procedure 6 (RFC 1813 §3.3.6). The file system reads into the place
// in the reply where the data belongs, and the rest is put in front of it.
func (c *call) read(d *xdr.Decoder) bool {
	var a wire.ReadArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.ReadResult
	x, id, st := c.open(a.Handle)
	if st == OK {
		off, count := a.Offset, uint64(min(a.Count, maxData))
		if off > maxOffset {
			off, count = maxOffset, 0
		}
		count = min(count, maxOffset-off)
		sent := false
		if sendsFiles && count >= minSpan && x.readFile != nil {
			st, sent = c.readSpan(x, id, off, int(count), &r)
		}
		if !sent {
			if !c.grow(readHead + int(count) + 3) {
				return true
			}
			st = c.readData(x, id, off, c.reply.B[readHead:readHead+int(count)], &r)
		}
	}
	if st != OK {
		r.Status = uint32(st)
		c.out = r.Append(c.out)
		return true
	}
	n := int(r.Count)
	mem := c.reply.B[:cap(c.reply.B)]
	// Without attributes the head is shorter and starts later.
	start := 0
	if !r.Attr.Has {
		start = wire.AttrSize
	}
	head := rpc.AppendAccepted(append(mem[start:start], 0, 0, 0, 0), c.hdr.XID, rpc.Success)
	head = r.Append(head) // its Data is empty: the length that follows is wrong
	binary.BigEndian.PutUint32(head[len(head)-4:], r.Count)
	if c.file != nil {
		c.out = head
		return true
	}
	end := readHead + xdr.Padded(n)
	clear(mem[readHead+n : end])
	c.out = mem[start:end]
	return true
}

// readData reads into data and fills r.
func (c *call) readData(x *export, id ID, off uint64, data []byte, r *wire.ReadResult) Status {
	var n int
	var eof bool
	var err error
	if x.readAttr != nil {
		var attr Attr
		n, eof, attr, err = x.readAttr.ReadAttr(&c.ctx, &c.caller, id, data, off)
		if r.Attr = x.post(&attr); !r.Attr.Has && err != nil {
			r.Attr = c.attr(x, id)
		}
	} else {
		r.Attr = c.attr(x, id)
		n, eof, err = x.FS.Read(&c.ctx, &c.caller, id, data, off)
	}
	if err == nil && (n < 0 || n > len(data) || n == 0 && len(data) > 0 && !eof) {
		err = errNoProgress
	}
	st := c.status(err)
	if st == OK {
		r.Count, r.EOF = uint32(n), eof || off == maxOffset
	}
	return st
}

// minSpan is from how many bytes on it pays to send from a file.
const minSpan = 64 << 10

// readSpan is readData for data that stay where they are until they are sent;
// false if they are in no file.
func (c *call) readSpan(x *export, id ID, off uint64, count int, r *wire.ReadResult) (Status, bool) {
	s, err := x.readFile.ReadFile(&c.ctx, &c.caller, id, off, count)
	if errors.Is(err, ErrNotInFile) {
		return OK, false
	}
	if r.Attr = x.post(&s.Attr); !r.Attr.Has && err != nil {
		r.Attr = c.attr(x, id)
	}
	if err == nil && (s.N < 0 || s.N > count || s.N == 0 && !s.EOF) {
		s.Release()
		err = errNoProgress
	}
	st := c.status(err)
	if st == OK {
		r.Count, r.EOF = uint32(s.N), s.EOF || off == maxOffset
		c.file = &fileData{FileSpan: s, off: int64(off)}
	}
	return st, true
}

// grow replaces the reply's buffer, with nothing in it, by one of size bytes.
// It returns false if the connection is gone, and the reply does not matter.
func (c *call) grow(size int) bool {
	if size > smallRecord {
		if !c.conn.held.tryTake(int64(size)) {
			c.conn.out.flush()
			if !c.conn.held.take(int64(size)) {
				return false
			}
		}
		c.counts = int64(size)
	}
	if size > cap(c.reply.B) {
		b := c.srv.bufs.Get(size)
		head := append(b.B, c.out...)
		c.srv.bufs.Put(c.reply)
		c.reply, c.out = b, head
	}
	c.reply.B = c.reply.B[:size]
	return true
}

// write is procedure 7 (RFC 1813 §3.3.7).
func (c *call) write(d *xdr.Decoder) bool {
	var a wire.WriteArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.WriteResult
	x, id, st := c.open(a.Handle)
	if st == OK {
		// The verifier from before the write: if it changes meanwhile, the
		// client must not take this data for safe.
		verf := x.writeVerifier()
		binary.BigEndian.PutUint64(r.Verf[:], verf)
		var w WCC
		var got Stable
		data := a.Data[:min(len(a.Data), maxData)]
		if got, w, st = c.doWrite(x, id, &a, data); st == OK {
			r.Count, r.Committed = uint32(len(data)), uint32(min(got, FileSync))
			r.Wcc = c.changed(x, id, &w)
		} else {
			r.Wcc = c.unchanged(x, id)
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

func (c *call) doWrite(x *export, id ID, a *wire.WriteArgs, data []byte) (Stable, WCC, Status) {
	switch {
	case x.writer == nil:
		return 0, WCC{}, x.missing()
	case int(a.Count) != len(a.Data):
		return 0, WCC{}, ErrInval
	case a.Offset > maxOffset, uint64(len(data)) > maxOffset-a.Offset:
		return 0, WCC{}, ErrFBig
	}
	want := Stable(a.Stable)
	got, w, err := x.writer.Write(&c.ctx, &c.caller, id, data, a.Offset, want)
	st := c.status(err)
	if want != Unstable && losesData(st) {
		x.rotate()
	}
	return got, w, st
}

// losesData reports whether a failure to make data stable may have lost data
// that was written before. A refusal has not tried, and a delay has not failed;
// if that changed the verifier, a slow commit would never end.
func losesData(st Status) bool {
	switch st {
	case OK, ErrPerm, ErrAccess, ErrInval, ErrIsDir, ErrNotDir, ErrNotSupp, ErrBadHandle, ErrStale, ErrJukebox, ErrROFS:
		return false
	}
	return true
}

// commit is procedure 21 (RFC 1813 §3.3.21).
func (c *call) commit(d *xdr.Decoder) bool {
	var a wire.CommitArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.CommitResult
	x, id, st := c.open(a.Handle)
	if st == OK {
		var w WCC
		if w, st = c.doCommit(x, id, &a); st == OK {
			// The verifier from after the commit: if another one failed
			// meanwhile, this file's data may have been part of the loss.
			binary.BigEndian.PutUint64(r.Verf[:], x.writeVerifier())
			r.Wcc = c.changed(x, id, &w)
		} else {
			r.Wcc = c.unchanged(x, id)
		}
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

func (c *call) doCommit(x *export, id ID, a *wire.CommitArgs) (WCC, Status) {
	if x.writer == nil {
		return WCC{}, x.missing()
	}
	off, count := a.Offset, a.Count
	if off > maxOffset || uint64(count) > maxOffset-off {
		off, count = 0, 0 // a range that cannot be: commit all
	}
	w, err := x.writer.Commit(&c.ctx, &c.caller, id, off, count)
	st := c.status(err)
	if losesData(st) {
		x.rotate()
	}
	return w, st
}

// readlink is procedure 5 (RFC 1813 §3.3.5).
func (c *call) readlink(d *xdr.Decoder) bool {
	var a wire.HandleArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	var r wire.ReadlinkResult
	x, id, st := c.open(a.Handle)
	if st == OK {
		var target string
		if target, st = c.doReadlink(x, id); st == OK {
			r.Target = []byte(target)
		}
		r.Attr = c.attr(x, id)
	}
	r.Status = uint32(st)
	c.out = r.Append(c.out)
	return true
}

func (c *call) doReadlink(x *export, id ID) (string, Status) {
	if x.linkRd == nil {
		return "", ErrNotSupp
	}
	target, err := x.linkRd.Readlink(&c.ctx, &c.caller, id)
	return target, c.status(err)
}

// symlink is procedure 10 (RFC 1813 §3.3.10).
func (c *call) symlink(d *xdr.Decoder) bool {
	var a wire.SymlinkArgs
	if a.Decode(d); d.Done() != nil {
		return false
	}
	return c.makeNew(&a.Where, &a.Set, func(x *export, dir ID, name string, set SetAttr) (Attr, WCC, error) {
		switch {
		case x.linkMk == nil:
			return Attr{}, WCC{}, x.missing()
		case len(a.Target) > MaxTarget:
			return Attr{}, WCC{}, ErrNameTooLong
		case len(a.Target) == 0, bytes.IndexByte(a.Target, 0) >= 0:
			return Attr{}, WCC{}, ErrInval
		}
		return x.linkMk.Symlink(&c.ctx, &c.caller, dir, name, string(a.Target), set)
	})
}
