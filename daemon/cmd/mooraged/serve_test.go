//go:build unix

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

func mntRoot(t *testing.T, c *nfstest.Client, export string) nfstest.Handle {
	t.Helper()
	r, err := c.Mnt(t.Context(), export)
	if err != nil || r.Status != 0 {
		t.Fatalf("MNT %s: %v, %v", export, r.Status, err)
	}
	return nfstest.Handle(r.Handle)
}

func TestServe(t *testing.T) {
	h := newHome(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := h.run("main", "serve", "mem:", "--export", "/scratch")
		r := p.ready()
		if r.Export != "/scratch" || !strings.Contains(r.Mount, "127.0.0.1:/scratch") {
			t.Errorf("ready: %+v", r)
		}
		c := kernel(t, r.Address)
		for range 3 { // any number of MNT calls
			root := mntRoot(t, c, "/scratch")
			if g, err := c.Getattr(t.Context(), root); err != nil || g.Status != 0 {
				t.Errorf("GETATTR: %+v, %v", g, err)
			}
		}
		if status := p.end(sig); status != 0 {
			t.Errorf("exit status %d after %v", status, sig)
		}
		if rest := p.rest(); rest != "" {
			t.Errorf("more on standard output: %q", rest)
		}
	}
	if l, err := filepath.Glob(filepath.Join(os.TempDir(), "moorage-serve-*")); err != nil || len(l) > 0 {
		t.Errorf("temporary folders are left: %v", l)
	}
}

// A second run with the same cache, port and URL continues the first.
func TestServeGoesOn(t *testing.T) {
	h := newHome(t)
	repo := repository(t, "hello", "hello\n")
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "hello"), []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"git+file://" + repo, folder} {
		args := []string{"serve", url, "--cache", filepath.Join(h.dir, "cache")}
		p := h.run("main", args...)
		r := p.ready()
		c := kernel(t, r.Address)
		root := mntRoot(t, c, r.Export)
		l, err := c.Lookup(t.Context(), root, "hello")
		if err != nil || l.Status != 0 {
			t.Fatalf("LOOKUP: %+v, %v", l, err)
		}
		second := h.run("main", args...)
		if status := second.wait(); status != 1 || !strings.Contains(second.stderr.String(), "Another moorage serve") {
			t.Errorf("a second run at the same time: %d, %s", status, second.stderr.String())
		}
		p.end(syscall.SIGKILL)
		p = h.run("main", append(args, "--listen", r.Address)...)
		if again := p.ready(); again != r {
			t.Errorf("first %+v, then %+v", r, again)
		}
		c = kernel(t, r.Address)
		got, err := c.Read(t.Context(), nfstest.Handle(l.Handle), 0, 100)
		if err != nil || got.Status != 0 || string(got.Data) != "hello\n" {
			t.Errorf("READ by the old handle: %v, %q, %v", got.Status, got.Data, err)
		}
		p.end(syscall.SIGTERM)
	}
}

func TestServeReadOnly(t *testing.T) {
	h := newHome(t)
	p := h.run("main", "serve", "mem:", "--read-only")
	r := p.ready()
	c := kernel(t, r.Address)
	w, err := c.Create(t.Context(), mntRoot(t, c, r.Export), "x", nfs.Guarded, nfstest.Sattr{}, [8]byte{})
	if err != nil || nfstest.Status(uint32(w.Status)) != nfs.ErrROFS {
		t.Errorf("CREATE: %v, %v", w.Status, err)
	}
}

// With --portmap, the drive is found by who knows no port.
func TestServePortmap(t *testing.T) {
	h := newHome(t)
	p := h.run("main", "serve", "mem:", "--portmap", "127.0.0.1:0")
	r := p.ready()
	if r.Portmap == "" || r.Portmap == r.Address {
		t.Fatalf("ready: %+v", r)
	}
	var args []byte
	for _, word := range []uint32{100003, 3, 6, 0} { // NFS 3 over TCP
		args = binary.BigEndian.AppendUint32(args, word)
	}
	got, err := kernel(t, r.Portmap).Call(t.Context(), 100000, 2, 3, args)
	if err != nil || len(got) != 4 {
		t.Fatalf("GETPORT: %x, %v", got, err)
	}
	mntRoot(t, kernel(t, fmt.Sprint("127.0.0.1:", binary.BigEndian.Uint32(got))), r.Export)
	if status := p.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	again := h.run("main", "serve", "mem:", "--portmap", r.Portmap)
	if second := again.ready(); second.Portmap != r.Portmap {
		t.Errorf("a second run on the same address: %+v", second)
	}
	if without := h.run("main", "serve", "mem:").ready(); without.Portmap != "" {
		t.Errorf("a portmapper that nobody asked for: %+v", without)
	}
}

// What was asked is told while it is served, and summed up at the end.
func TestServeTraceAndStats(t *testing.T) {
	h := newHome(t)
	p := h.run("main", "serve", "mem:", "--trace", "--stats")
	r := p.ready()
	c := kernel(t, r.Address)
	if l, err := c.Lookup(t.Context(), mntRoot(t, c, r.Export), "none"); err != nil || nfstest.Status(l.Status) != nfs.ErrNoEnt {
		t.Errorf("LOOKUP: %v, %v", l.Status, err)
	}
	if status := p.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	said := p.stderr.String()
	for _, want := range []string{"MOUNT V3 MNT Call " + r.Export + " -> Reply (uid ", "/none -> Reply Error: NFS3ERR_NOENT (uid ",
		"LOOKUP", "MOUNT MNT", "statuses: NFS3ERR_NOENT 1"} {
		if !strings.Contains(said, want) {
			t.Errorf("standard error lacks %q:\n%s", want, said)
		}
	}
}

func TestServeBadInput(t *testing.T) {
	h := newHome(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	repo := repository(t, "hello", "hello\n")
	for name, tt := range map[string]struct {
		args   string
		status int
		says   string
	}{
		"no url":       {"serve", 2, "accepts 1 arg"},
		"two urls":     {"serve mem: mem:", 2, "accepts 1 arg"},
		"bad flag":     {"serve mem: --nope", 2, "nope"},
		"bad command":  {"frobnicate", 2, "frobnicate"},
		"bad url":      {"serve htp://x", 2, "drive URL"},
		"coming":       {"serve sftp://host/x", 1, "coming"},
		"no folder":    {"serve /none/there", 1, "does not exist"},
		"no revision":  {"serve git+file://" + repo + "@nope", 1, "no such branch"},
		"unreachable":  {"serve git+http://127.0.0.1:1/x.git", 1, "cannot be reached"},
		"not loopback": {"serve mem: --listen 0.0.0.0:0", 2, "this computer alone"},
		"a name":       {"serve mem: --listen example.org:80", 2, "this computer alone"},
		"port taken":   {"serve mem: --listen " + l.Addr().String(), 1, "Another program"},
		"no port":      {"serve mem: --listen 127.0.0.1:99999", 2, "127.0.0.1:PORT"},
		"portmap far":  {"serve mem: --portmap 0.0.0.0:0", 2, "this computer alone"},
		"portmap off":  {"serve mem: --portmap 127.0.0.2:0", 2, "same address"},
		"portmap held": {"serve mem: --portmap " + l.Addr().String(), 1, "rpcbind"},
		"portmap udp":  {"serve mem: --portmap " + pc.LocalAddr().String(), 1, "rpcbind"},
		"bad export":   {"serve mem: --export name", 2, "export path"},
		"dotted":       {"serve mem: --export /a/../b", 2, "export path"},
		"bad cache":    {"serve mem: --cache /proc/none", 1, "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.run("main", strings.Fields(tt.args)...)
			if status := p.wait(); status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			if got := p.stderr.String(); !strings.Contains(got, tt.says) {
				t.Errorf("wrote %q, want %q in it", got, tt.says)
			}
			if out := p.rest(); out != "" {
				t.Errorf("on standard output: %q", out)
			}
		})
	}
	if l, err := filepath.Glob(filepath.Join(os.TempDir(), "moorage-serve-*")); err != nil || len(l) > 0 {
		t.Errorf("temporary folders are left: %v", l)
	}
}

func TestVersion(t *testing.T) {
	h := newHome(t)
	p := h.run("main", "--version")
	if status, out := p.wait(), p.rest(); status != 0 || !strings.HasPrefix(out, "mooraged ") {
		t.Errorf("%d, %q", status, out)
	}
}
