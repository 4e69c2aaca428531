package nfs

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/moorage/moorage/nfs/internal/rpc"
	"github.com/moorage/moorage/nfs/internal/wire"
	"github.com/moorage/moorage/nfs/internal/xdr"
)

const (
	traceLine  = 2048 // bytes of a line, about
	traceName  = 255  // bytes of a name or target that are shown
	traceNames = 16   // names of a directory page that are shown
	traceQueue = 1024 // lines that wait for the writer
)

// Trace is an [Observer] that writes a line for each call, [CallInfo.String].
// It never makes a call wait: lines for which the writer is too slow are left
// out, and a line says how many.
type Trace struct {
	w     io.Writer
	lines chan string
	lost  atomic.Int64
	stop  chan struct{}
	once  sync.Once
	done  chan struct{}
}

// NewTrace writes to w, one Write for each line, until Close. What Write fails
// to take is lost.
func NewTrace(w io.Writer) *Trace {
	t := &Trace{w: w, lines: make(chan string, traceQueue), stop: make(chan struct{}), done: make(chan struct{})}
	go t.run()
	return t
}

// Observe queues a line.
func (t *Trace) Observe(c *CallInfo) {
	if len(t.lines) == cap(t.lines) {
		t.lost.Add(1)
		return
	}
	select {
	case t.lines <- c.String() + "\n":
	default:
		t.lost.Add(1)
	}
}

// Close returns when the lines of the calls observed before are written. Calls
// that are observed afterwards are left out.
func (t *Trace) Close() {
	t.once.Do(func() { close(t.stop) })
	<-t.done
}

func (t *Trace) run() {
	defer close(t.done)
	for {
		select {
		case line := <-t.lines:
			t.write(line)
			continue
		default:
		}
		// Nothing waits: the place of the lines that were lost is here.
		if n := t.lost.Swap(0); n > 0 {
			t.write(fmt.Sprintf("(%d calls left out)\n", n))
		}
		select {
		case line := <-t.lines:
			t.write(line)
		case <-t.stop:
			if len(t.lines) == 0 {
				return
			}
		}
	}
}

func (t *Trace) write(line string) { io.WriteString(t.w, line) }

// String is the call and its reply in one line, in the words of Wireshark:
//
//	NFS V3 LOOKUP Call, DH: 0x62d40c52/name -> Reply Error: NFS3ERR_NOENT (uid 1000, 35µs)
//
// Of a handle it has the CRC-32, as Wireshark has; of an export path with
// several elements the CRC-32 of all but the last, because both can be secrets.
// Names are cut at 255 bytes, and what does not print in them is escaped.
func (c *CallInfo) String() string {
	t := tracer{b: make([]byte, 0, 160)}
	args, results := c.messages()
	t.program(c)
	t.str(" Call")
	if args != nil {
		t.call(c, args)
	}
	t.str(" -> Reply")
	if !t.refusal(c) && args != nil {
		t.reply(c, args, results)
	}
	t.str(" (uid ").num(uint64(c.UID)).str(", ").str(shortTime(c.Duration).String()).str(")")
	return string(t.b)
}

// messages are the call's arguments, nil if they do not decode, and a decoder
// at the reply's results.
func (c *CallInfo) messages() (args wire.Message, results xdr.Decoder) {
	d := xdr.NewDecoder(c.Call)
	var call rpc.Call
	if call.Decode(&d) == nil {
		args = wire.NewArgs(call.Prog, call.Vers, call.Proc)
	}
	if args != nil {
		args.Decode(&d)
		if d.Done() != nil {
			args = nil
		}
	}
	results = xdr.NewDecoder(c.Reply)
	var reply rpc.Reply
	if err := reply.Decode(&results); err != nil {
		results.Fail(err)
	}
	return args, results
}

// tracer builds a line. Its methods return it, so that they can be strung together.
type tracer struct{ b []byte }

func (t *tracer) str(s string) *tracer {
	if len(t.b)+len(s) > traceLine {
		s = ""
	}
	t.b = append(t.b, s...)
	return t
}

func (t *tracer) num(n uint64) *tracer { t.b = strconv.AppendUint(t.b, n, 10); return t }

func (t *tracer) hash(b []byte) *tracer {
	t.b = fmt.Appendf(t.b, "0x%08x", crc32.ChecksumIEEE(b))
	return t
}

func (t *tracer) fh(label string, h []byte) *tracer { return t.str(label).hash(h) }

func (t *tracer) dir(label string, d *wire.DirOp) *tracer {
	return t.fh(label, d.Dir).str("/").text(d.Name)
}

// text is a name: what could end the line, or paint the terminal, is escaped.
func (t *tracer) text(name []byte) *tracer {
	cut := len(name) > traceName
	if cut {
		name = name[:traceName]
	}
	var b []byte
	for len(name) > 0 {
		r, n := utf8.DecodeRune(name)
		switch {
		case r == utf8.RuneError && n == 1, !unicode.IsPrint(r):
			for _, x := range name[:n] {
				b = fmt.Appendf(b, `\x%02x`, x)
			}
		case r == '\\':
			b = append(b, `\\`...)
		default:
			b = append(b, name[:n]...)
		}
		name = name[n:]
	}
	if cut {
		b = append(b, "…"...)
	}
	return t.str(string(b))
}

func (t *tracer) path(p []byte) *tracer {
	p = bytes.TrimRight(p, "/")
	if i := bytes.LastIndexByte(p, '/'); i > 0 {
		return t.str(" ").hash(p[:i]).text(p[i:])
	}
	return t.str(" ").text(p)
}

func (t *tracer) program(c *CallInfo) {
	names := []string(nil)
	switch c.Program {
	case wire.NFSProgram:
		t.str("NFS")
		if c.Version == wire.NFSVersion {
			names = nfsNames[:]
		}
	case wire.MountProgram:
		t.str("MOUNT")
		names = mountNames[:]
	default:
		t.str("RPC program ").num(uint64(c.Program))
	}
	t.str(" V").num(uint64(c.Version)).str(" ")
	if c.Procedure < uint32(len(names)) {
		t.str(names[c.Procedure])
	} else {
		t.str("proc-").num(uint64(c.Procedure))
	}
}

// refusal says how RPC refused the call, and reports whether it did.
func (t *tracer) refusal(c *CallInfo) bool {
	d := xdr.NewDecoder(c.Reply)
	var r rpc.Reply
	if r.Decode(&d) != nil || r.Err() == nil {
		return false
	}
	text, _ := bytes.CutPrefix([]byte(r.Err().Error()), []byte("rpc: "))
	t.str(" ").text(text)
	return true
}
