package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/memfs"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// startMem serves an empty file system in memory until the test ends.
func startMem(t *testing.T) string {
	t.Helper()
	s, err := nfs.NewServer(nfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fs := memfs.New(memfs.Options{UID: callerUID(), GID: callerGID()})
	if err := s.Export(nfs.Export{Path: "/drive", FS: fs, Key: bytes.Repeat([]byte{1}, 32), FSID: 1}); err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(l)
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-served
	})
	return l.Addr().String()
}

func startEcho(t *testing.T, z sizes) string {
	t.Helper()
	l := listen(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		newEcho(z).serve(l)
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
	return l.Addr().String()
}

var smallSizes = sizes{Block: 4096, Page: 4096, Big: 1 << 20, Data: 256 << 10, Files: 20, Many: 2000, New: 200}

// TestRun measures a server on memfs, whose export is empty at first, and the
// server echo beside it, with every workload.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.json")
	var out bytes.Buffer
	err := run(context.Background(), []string{
		"-server", "mem=" + startMem(t) + "/drive", "-server", "echo=" + startEcho(t, smallSizes) + "/",
		"-block", "4096", "-page", "4096", "-big", "1048576", "-data", "262144", "-files", "20", "-entries", "2000", "-new", "200",
		"-rounds", "1", "-time", "15ms", "-conns", "2", "-depth", "8,1", "-json", file,
	}, &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	for _, w := range workloads() {
		for _, server := range []string{"mem", "echo"} {
			for _, depth := range []int{8, 1} {
				m := r.find(server, w.name, depth)
				switch {
				case depth == 1 && !w.depth1:
					if m != nil {
						t.Errorf("%s was measured with one call at a time", w.name)
					}
				case m == nil || m.Samples != 1 || m.Error != "" || m.Rate <= 0 || m.P50 <= 0 || m.P99 < m.P50:
					t.Errorf("%s, %s, depth %d: %+v", server, w.name, depth, m)
				case runtime.GOOS == "linux" && (m.CPU <= 0 || m.RSS <= 0):
					t.Errorf("%s, %s, depth %d: CPU %g, RSS %g", server, w.name, depth, m.CPU, m.RSS)
				}
			}
		}
		if !strings.Contains(out.String(), "| "+w.name+" |") {
			t.Errorf("no row for %s in the tables", w.name)
		}
	}
}

// TestNoAllocation: calls do not allocate, so that the client stays light.
func TestNoAllocation(t *testing.T) {
	addr := startEcho(t, smallSizes)
	p := newPattern(smallSizes.Block)
	s, err := open(&target{Name: "echo", Addr: addr, Mount: addr, Export: "/"}, smallSizes, p, 1, 16)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	const calls = 20000
	for _, w := range workloads() {
		if w.unit == entriesUnit || !w.warm {
			continue // these allocate for each run, not for each call
		}
		jobs, err := w.jobs(s)
		if err != nil {
			t.Fatal(err)
		}
		j := &limited{job: jobs[0], left: calls}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := s.each(j); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; n > calls/20 {
			t.Errorf("%s: %d allocations for %d calls", w.name, n, calls)
		}
	}
}

// limited ends a job after some calls.
type limited struct {
	job
	left int
}

func (l *limited) next(c *conn, s int, _ bool) bool {
	l.left--
	return l.left >= 0 && l.job.next(c, s, false)
}

// TestFailuresAreReported: a server that fails a workload is left out of it
// after the second time, and the tables say why.
func TestFailuresAreReported(t *testing.T) {
	z := smallSizes
	addr := startEcho(t, z)
	z.Big *= 2 // echo's file is shorter
	r := &report{Servers: []*target{{Name: "echo", Addr: addr, Mount: addr, Export: "/"}}, units: map[string]unit{}, Rounds: 3}
	chosen, err := choose("read-seq,null")
	if err != nil {
		t.Fatal(err)
	}
	m := &runner{z: z, conns: 1, seconds: 5 * time.Millisecond, p: newPattern(z.Block)}
	said := 0
	m.all(context.Background(), r, chosen, []int{4}, 3, func(string, ...any) { said++ })
	r.finish()
	var out bytes.Buffer
	r.markdown(&out)
	if c := r.find("echo", "read-seq", 4); c.Samples != 0 || !strings.Contains(c.Error, "wrong answer") {
		t.Errorf("%+v", c)
	}
	if c := r.find("echo", "null", 4); c.Samples != 3 || c.Error != "" {
		t.Errorf("%+v", c)
	}
	if !strings.Contains(out.String(), "failed") || !strings.Contains(out.String(), "wrong answer") {
		t.Error(out.String())
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-server", "x"}, {"-server", "x=127.0.0.1/e"}, {"-server", "x=127.0.0.1:1/e,pid=y"}, {"-server", "x=127.0.0.1:1/e,speed=1"},
		{"-server", "x/y=127.0.0.1:1/e"}, {"-server", "x=127.0.0.1:1/e", "-server", "x=127.0.0.1:1/e"},
		{"-depth", "0", "-server", "x=127.0.0.1:1/e"}, {"-block", "6"}, {"-big", "5"}, {"-workloads", "reed"}, {"-entries", "0"}, {"-conns", "0"},
	} {
		if err := run(context.Background(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
	got, err := parseTarget("a=127.0.0.1:2049/srv/x,mount=20048,pid=7")
	if want := (target{Name: "a", Addr: "127.0.0.1:2049", Mount: "127.0.0.1:20048", Export: "/srv/x", PID: 7}); err != nil || *got != want {
		t.Errorf("%+v, %v", got, err)
	}
	chosen, err := choose("-create,remove,null")
	if err != nil || len(chosen) != len(workloads())-3 || slices.ContainsFunc(chosen, func(w workload) bool { return w.name == "remove" }) {
		t.Errorf("%d workloads, %v", len(chosen), err)
	}
}

// TestEchoMode: with -echo the program says where it listens, answers, and ends.
func TestEchoMode(t *testing.T) {
	z, err := json.Marshal(smallSizes)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-echo", string(z)}, w, io.Discard) }()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimSpace(line)
	s, err := open(&target{Addr: addr, Mount: addr, Export: "/"}, smallSizes, newPattern(smallSizes.Block), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, files, err := s.files(); err != nil || len(files) != smallSizes.Files {
		t.Errorf("%d files, %v", len(files), err)
	}
	s.close()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestUpdate: the tables replace what is behind the heading, and nothing else.
func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	const text = "# Title\n\ntext\n\n## Results\n"
	if err := os.WriteFile(path, []byte(text+"\nold\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := update(path, []byte("new\n")); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != text+"\nnew\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := update(path, nil); err == nil {
		t.Error("a document without the heading was changed")
	}
}

// TestPrepare: the folder that is made is what the jobs expect, and making it
// again changes nothing.
func TestPrepare(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tree")
	p := newPattern(smallSizes.Block)
	for range 2 {
		if err := prepare(folder, smallSizes, p); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(folder, bigName))
		if err != nil || len(b) != smallSizes.Big {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		for off := 0; off < len(b); off += smallSizes.Block {
			if !p.holds(b[off:off+smallSizes.Block], off, 0) {
				t.Fatalf("other data at %d", off)
			}
		}
		many, err := os.ReadDir(filepath.Join(folder, manyName))
		if err != nil || len(many) != smallSizes.Many || nameNumber([]byte(many[7].Name()), manyFormat) != 7 {
			t.Fatalf("%d entries, %v", len(many), err)
		}
	}
}

// TestPatternTellsBlocksApart: data of another place or of another pass does
// not pass for the right one.
func TestPatternTellsBlocksApart(t *testing.T) {
	const block = 128 << 10
	p := newPattern(block)
	seen := map[string]bool{}
	for pass := range 3 {
		for off := 0; off < 512*block; off += block {
			key := string(p.at(off, pass, 64))
			if seen[key] {
				t.Fatalf("pass %d, offset %d: a block that was there before", pass, off)
			}
			seen[key] = true
		}
	}
}
