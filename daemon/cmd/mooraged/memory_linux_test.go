package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

const (
	// memoryMost is what a service may take with one drive, however many files
	// that has and whatever is read of them.
	memoryMost = 300 << 20
	// memoryGuard ends a service that takes so much that this computer would
	// suffer.
	memoryGuard = 2 << 30
	// memoryFiles is how many files the drive has; the environment can say more.
	memoryFiles    = 200_000
	memoryFilesEnv = "MOORAGE_TEST_FILES"

	memoryFolder  = 1000 // files in each folder but the first, which has half of all
	memoryStreams = 4
	memoryStream  = 64 << 20
	memoryRandom  = 64
	memoryBig     = 4 << 30 // the file that is read here and there
)

// The program that is shipped, with a drive of very many files that a client goes
// through, and then reads at once in many places, stays small.
func TestMemory(t *testing.T) {
	files := memoryFiles
	if s := os.Getenv(memoryFilesEnv); s != "" {
		var err error
		if files, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	half := files / 2
	large := memoryStreams + 1
	b := &objects{keys: files, delay: 40 * time.Millisecond, key: func(i int) string {
		switch {
		case i < half:
			return fmt.Sprintf("a/file-%07d.dat", i)
		case i < files-large:
			return fmt.Sprintf("folder-%04d/file-%04d.dat", (i-half)/memoryFolder, (i-half)%memoryFolder)
		}
		return fmt.Sprintf("large/%d", i-(files-large))
	}, size: func(i int) int64 {
		switch {
		case i < files-large:
			return int64(i)
		case i < files-1:
			return memoryStream
		}
		return memoryBig
	}}
	bin := filepath.Join(t.TempDir(), "mooraged")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	h := newHome(t)
	p := h.start(exec.Command(bin, "serve", b.address(t), "--cache", filepath.Join(h.dir, "cache")))
	guard := unix.Rlimit{Cur: memoryGuard, Max: memoryGuard}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_DATA, &guard, nil); err != nil {
		t.Fatal(err)
	}
	r := p.ready()
	c := kernel(t, r.Address)
	w := &walker{t: t, c: c, first: files - large}

	began := time.Now()
	w.walk(mntRoot(t, c, r.Export))
	took := time.Since(began)
	if w.files != files {
		t.Errorf("%d files were listed, of %d", w.files, files)
	}
	t.Logf("%d files listed in %v with %d calls, %d of the remote; JUKEBOX %d times; %d MiB", w.files, took.Round(time.Millisecond), w.calls, b.lists.Load(), w.again, p.memory()>>20)

	began = time.Now()
	w.read()
	took = time.Since(began)
	most := p.memory()
	t.Logf("%d MiB read in order and %d times elsewhere in %v; %d MiB in memory at most", memoryStreams*memoryStream>>20, w.random, took.Round(time.Millisecond), most>>20)
	if most > memoryMost {
		t.Errorf("the service took %d MiB, %d allowed", most>>20, memoryMost>>20)
	}
	if status := p.end(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// memory is the most memory that a process had so far, in bytes.
func (p *process) memory() int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	p.t.Fatalf("nothing of memory in %s", b)
	return 0
}

// walker is a client that goes through a drive, and then reads what is large.
type walker struct {
	t     *testing.T
	c     *nfstest.Client
	large []nfstest.Handle

	first int // number of the first of these in the store

	files, calls, again, random int
}

// walk lists a folder and those in it.
func (w *walker) walk(dir nfstest.Handle) {
	w.t.Helper()
	var folders []nfstest.Handle
	var cookie uint64
	var verf [8]byte
	for {
		r, err := w.c.Readdirplus(w.t.Context(), dir, cookie, verf, 32<<10, 128<<10)
		w.calls++
		if err == nil && nfstest.Status(r.Status) == nfs.ErrJukebox {
			w.again++
			time.Sleep(10 * time.Millisecond) // as clients do, who wait longer
			continue
		}
		if err != nil || r.Status != 0 {
			w.t.Fatalf("READDIRPLUS: %v, %v", nfstest.Status(r.Status), err)
		}
		for _, e := range r.Entries {
			cookie = e.Cookie
			switch name := string(e.Name); {
			case name == "." || name == "..":
			case !e.Attr.Has || !e.Handle.Has:
				w.t.Fatalf("%s has no attributes", name)
			case nfs.FileType(e.Attr.Attr.Type) == nfs.TypeDirectory:
				folders = append(folders, nfstest.Handle(e.Handle.Handle))
			default:
				w.files++
				if e.Attr.Attr.Size >= memoryStream {
					w.large = append(w.large, nfstest.Handle(e.Handle.Handle))
				}
			}
		}
		if verf = r.Verf; r.EOF {
			break
		}
	}
	for _, f := range folders {
		w.walk(f)
	}
}

// read reads all large files but the last from their start, each with several
// calls at once as kernels do, and meanwhile pieces of the last one.
func (w *walker) read() {
	const piece, ahead = 128 << 10, 8
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	var streams, others sync.WaitGroup
	for n, h := range w.large[:memoryStreams] {
		turns := make(chan int64)
		streams.Go(func() {
			defer close(turns)
			for off := int64(0); off < memoryStream; off += piece {
				turns <- off
			}
		})
		for range ahead {
			streams.Go(func() {
				for off := range turns {
					w.piece(ctx, h, w.first+n, off, piece)
				}
			})
		}
	}
	times := make([]int, memoryRandom)
	for n := range times {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		others.Go(func() {
			for ctx.Err() == nil {
				w.piece(ctx, w.large[memoryStreams], w.first+memoryStreams, r.Int64N(memoryBig/4096)*4096, 4096)
				times[n]++
			}
		})
	}
	streams.Wait()
	cancel()
	others.Wait()
	for _, n := range times {
		w.random += n
	}
}

// piece reads a piece of a large file and looks at some of its bytes.
func (w *walker) piece(ctx context.Context, h nfstest.Handle, number int, off int64, count uint32) {
	for ctx.Err() == nil {
		r, err := w.c.Read(ctx, h, uint64(off), count)
		switch {
		case ctx.Err() != nil:
		case err == nil && nfstest.Status(r.Status) == nfs.ErrJukebox:
			time.Sleep(10 * time.Millisecond)
		case err != nil || r.Status != 0 || r.Count != count:
			w.t.Errorf("READ of %d bytes at %d: %d, %v, %v", count, off, r.Count, nfstest.Status(r.Status), err)
			return
		default:
			for i := 0; i < len(r.Data); i += 101 {
				if r.Data[i] != madeByte(number, off+int64(i)) {
					w.t.Errorf("large/%d has another byte at %d", number-w.first, off+int64(i))
					return
				}
			}
			return
		}
	}
}
