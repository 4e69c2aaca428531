package nfs_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// traced makes a server with a tree, makes every kind of call, and returns
// what was observed.
func traced(t testing.TB, call func(e *env)) []nfs.CallInfo {
	var rec recorder
	tt, ok := t.(*testing.T)
	if !ok {
		t.Fatal("not a test")
	}
	e := start(tt, memfs.New(memfs.Options{}), withObserver(&rec), func(c *config) { c.auth = nfstest.Auth{} })
	call(e)
	return rec.all()
}

// TestTraceWords compares the lines with what TShark 4.0 shows in its Info
// column for the same calls, where it is not said otherwise.
func TestTraceWords(t *testing.T) {
	var root, file nfstest.Handle
	calls := traced(t, func(e *env) {
		c, ctx := e.c, e.ctx
		root = e.root
		c.Null(ctx)
		c.Mnt(ctx, "/drive")
		c.Mnt(ctx, "/secret/nope")
		c.Fsinfo(ctx, root)
		c.Getattr(ctx, root)
		c.Access(ctx, root, 0x1f)
		c.Lookup(ctx, root, "none")
		f, _ := c.Create(ctx, root, "file", nfs.Unchecked, nfstest.Sattr{SetMode: true, Mode: 0o644}, [8]byte{})
		file = f.Handle.Handle
		c.Create(ctx, root, "file", nfs.Guarded, nfstest.Sattr{}, [8]byte{})
		c.Lookup(ctx, root, "file")
		c.Write(ctx, file, 3, []byte("hello"), nfs.Unstable)
		c.Commit(ctx, file, 0, 0)
		c.Read(ctx, file, 0, 4096)
		c.Access(ctx, file, 0x2d)
		c.Setattr(ctx, file, nfstest.Sattr{SetMode: true, Mode: 0o600}, &nfstest.Time{})
		c.Mkdir(ctx, root, "dir", nfstest.Sattr{})
		l, _ := c.Symlink(ctx, root, "link", "file", nfstest.Sattr{})
		c.Readlink(ctx, l.Handle.Handle)
		c.Mknod(ctx, root, "fifo", nfs.TypeFIFO, nfstest.Sattr{}, 0, 0)
		c.Rename(ctx, root, "file", root, "file2")
		c.Link(ctx, file, root, "a\nb\\\xff\u202e")
		c.Readdir(ctx, root, 0, [8]byte{}, 4096)
		c.Readdirplus(ctx, root, 0, [8]byte{}, 4096, 1)
		c.Remove(ctx, root, "dir")
		c.Rmdir(ctx, root, "dir")
		c.Call(ctx, 100003, 3, 99, nil)
		c.Call(ctx, 100003, 3, 1, nil)
		c.Umnt(ctx, 1, "/drive")
	})
	r, f := hash(root), hash(file)
	want := []string{
		"NFS V3 NULL Call -> Reply",
		"MOUNT V3 MNT Call /drive -> Reply",
		// Half of the path may be a secret.
		"MOUNT V3 MNT Call " + hash([]byte("/secret")) + "/nope -> Reply Error:ERR_NOENT",
		"NFS V3 FSINFO Call, FH: " + r + " -> Reply",
		"NFS V3 GETATTR Call, FH: " + r + " -> Reply Directory mode: 0755 uid: 0 gid: 0",
		"NFS V3 ACCESS Call, FH: " + r + ", [Check: RD LU MD XT DL] -> Reply, [Allowed: RD LU MD XT DL]",
		"NFS V3 LOOKUP Call, DH: " + r + "/none -> Reply Error: NFS3ERR_NOENT",
		"NFS V3 CREATE Call, DH: " + r + "/file Mode: UNCHECKED -> Reply, FH: " + f, // the handle is added
		"NFS V3 CREATE Call, DH: " + r + "/file Mode: GUARDED -> Reply Error: NFS3ERR_EXIST",
		"NFS V3 LOOKUP Call, DH: " + r + "/file -> Reply, FH: " + f,
		"NFS V3 WRITE Call, FH: " + f + " Offset: 3 Len: 5 UNSTABLE -> Reply Len: 5 FILE_SYNC",
		"NFS V3 COMMIT Call, FH: " + f + " -> Reply",
		"NFS V3 READ Call, FH: " + f + " Offset: 0 Len: 4096 -> Reply Len: 8 EOF", // EOF is added
		"NFS V3 ACCESS Call, FH: " + f + ", [Check: RD MD XT XE] -> Reply, [Access Denied: XE], [Allowed: RD MD XT]",
		"NFS V3 SETATTR Call, FH: " + f + " mode: 0600 -> Reply Error: NFS3ERR_NOT_SYNC", // the mode is added
		"NFS V3 MKDIR Call, DH: " + r + "/dir -> Reply, FH: ",
		"NFS V3 SYMLINK Call, From DH: " + r + "/link To file -> Reply, FH: ",
		"NFS V3 READLINK Call, FH: ",
		"NFS V3 MKNOD Call, FH: " + r + "/fifo Named Pipe -> Reply, FH: ",
		"NFS V3 RENAME Call, From DH: " + r + "/file To DH: " + r + "/file2 -> Reply",
		`NFS V3 LINK Call, From DH: ` + f + ` To DH: ` + r + `/a\x0ab\\\xff\xe2\x80\xae -> Reply`, // escaped
		"NFS V3 READDIR Call, FH: " + r + " -> Reply . .. dir link fifo file2",
		"NFS V3 READDIRPLUS Call, FH: " + r + " -> Reply Error: NFS3ERR_TOOSMALL",
		"NFS V3 REMOVE Call, DH: " + r + "/dir -> Reply Error: NFS3ERR_ISDIR",
		"NFS V3 RMDIR Call, DH: " + r + "/dir -> Reply",
		"NFS V3 proc-99 Call -> Reply PROC_UNAVAIL", // the refusal is added
		"NFS V3 GETATTR Call -> Reply GARBAGE_ARGS",
		"MOUNT V1 UMNT Call /drive -> Reply",
	}
	if len(calls) != len(want) {
		t.Fatalf("%d calls, want %d", len(calls), len(want))
	}
	for i, c := range calls {
		line := c.String()
		whole := strings.HasSuffix(want[i], ": ") || strings.HasPrefix(line, want[i]+" (uid 0, ")
		if !strings.HasPrefix(line, want[i]) || !whole && !strings.HasPrefix(want[i], "NFS V3 READDIR ") {
			t.Errorf("got  %s\nwant %s", line, want[i])
		}
		checkLine(t, line)
		for _, h := range []nfstest.Handle{root, file} {
			if strings.Contains(line, fmt.Sprintf("%x", h[8:])) || bytes.Contains([]byte(line), h[8:]) {
				t.Errorf("a handle is in %s", line)
			}
		}
	}
}

func hash(b []byte) string { return fmt.Sprintf("0x%08x", crc32.ChecksumIEEE(b)) }

func checkLine(t testing.TB, line string) {
	t.Helper()
	if len(line) > 3000 {
		t.Errorf("a line of %d bytes", len(line))
	}
	for _, r := range line {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			t.Errorf("%q in %q", r, line)
		}
	}
}

// TestTraceLong: what a client makes long stays one short line.
func TestTraceLong(t *testing.T) {
	calls := traced(t, func(e *env) {
		long := strings.Repeat("\n", 5000)
		e.c.Rename(e.ctx, e.root, long, e.root, long)
		e.c.Symlink(e.ctx, e.root, "s", strings.Repeat("x", 60000), nfstest.Sattr{})
		for i := range 40 {
			e.c.Create(e.ctx, e.root, fmt.Sprint(strings.Repeat("n", 200), i), nfs.Guarded, nfstest.Sattr{}, [8]byte{})
		}
		e.c.Readdirplus(e.ctx, e.root, 0, [8]byte{}, 60000, 60000)
	})
	for _, c := range calls {
		checkLine(t, c.String())
	}
	if line := calls[len(calls)-1].String(); !strings.Contains(line, "… (42 names) EOF (uid 0") {
		t.Errorf("a long page is %s", line)
	}
}

// slowWriter takes lines only while its gate is open.
type slowWriter struct {
	gate chan struct{}
	mu   sync.Mutex
	text strings.Builder
}

func (w *slowWriter) Write(p []byte) (int, error) {
	<-w.gate
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// TestTraceSlow: a writer that stands still delays nobody, and what is left
// out is said.
func TestTraceSlow(t *testing.T) {
	w := &slowWriter{gate: make(chan struct{})}
	tr := nfs.NewTrace(w)
	c := nfs.CallInfo{Program: 100003, Version: 3}
	const n = 3000
	for range n {
		tr.Observe(&c) // would never return if it waited
	}
	close(w.gate)
	tr.Close()
	tr.Observe(&c)
	tr.Close()
	lines := strings.Split(strings.TrimSuffix(w.text.String(), "\n"), "\n")
	lost, written := 0, 0
	for _, l := range lines {
		var k int
		if _, err := fmt.Sscanf(l, "(%d calls left out)", &k); err == nil {
			lost += k
		} else if strings.HasPrefix(l, "NFS V3 NULL Call") {
			written++
		} else {
			t.Errorf("line %q", l)
		}
	}
	if lost == 0 || written+lost != n {
		t.Errorf("%d lines written and %d said to be left out of %d", written, lost, n)
	}
}

func TestTraceServer(t *testing.T) {
	w := &slowWriter{gate: make(chan struct{})}
	close(w.gate)
	tr := nfs.NewTrace(w)
	e := start(t, nil, withObserver(tr))
	must(e.c.Lookup(e.ctx, e.root, "none"))(t)
	tr.Close()
	if got := w.text.String(); !strings.HasPrefix(got, "NFS V3 LOOKUP Call, DH: "+hash(e.root)+"/none -> Reply Error: NFS3ERR_NOENT (uid 1000, ") || strings.Count(got, "\n") != 1 {
		t.Errorf("traced %q", got)
	}
}

// FuzzTrace: any messages make one printable line of bounded length.
func FuzzTrace(f *testing.F) {
	head := func(proc byte) []byte {
		return append([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0x86, 0xa3, 0, 0, 0, 3, 0, 0, 0, proc}, make([]byte, 16)...)
	}
	reply := append([]byte{0, 0, 0, 1, 0, 0, 0, 1}, make([]byte, 16+4)...)
	handle := append([]byte{0, 0, 0, 32}, make([]byte, 32)...)
	name := []byte("\x00\x00\x00\x05na\nme\x00\x00\x00")
	dirOp := append(bytes.Clone(handle), name...)
	for proc := range byte(22) {
		f.Add(uint32(100003), uint32(3), uint32(proc), append(head(proc), handle...), append(bytes.Clone(reply), make([]byte, 100)...))
		f.Add(uint32(100003), uint32(3), uint32(proc), append(head(proc), dirOp...), append(bytes.Clone(reply), handle...))
	}
	f.Add(uint32(100003), uint32(3), uint32(16), append(append(head(16), handle...), make([]byte, 20)...),
		append(append(append(bytes.Clone(reply), make([]byte, 12)...), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1), name...))
	f.Add(uint32(100005), uint32(3), uint32(1), append(head(1), name...), reply)
	f.Fuzz(func(t *testing.T, prog, vers, proc uint32, call, reply []byte) {
		c := nfs.CallInfo{Program: prog, Version: vers, Procedure: proc, Call: call, Reply: reply}
		checkLine(t, c.String())
	})
}
