package nfs_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// The server, and the crowd that besets it, are processes of their own, so that
// descriptors and memory are those of the one that is meant. Both are this test
// binary in another role.
const (
	scaleRole = "NFS_TEST_SCALE_ROLE"
	scaleSpec = "NFS_TEST_SCALE_SPEC" // JSON: a scaleServer or a scaleCrowd
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(scaleRole) {
	case "server":
		err = scaleServe()
	case "crowd":
		err = scaleBeset()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// scalePlace is what a server tells about itself.
type scalePlace struct {
	Addr       string
	Root, File nfstest.Handle
}

// scaleFile is the size of the file that is read.
const scaleFile = 4 << 20

// scaleServe is a server until standard input ends.
func scaleServe() error {
	var limits nfs.Limits
	if err := json.Unmarshal([]byte(os.Getenv(scaleSpec)), &limits); err != nil {
		return err
	}
	// Whatever is broken, it does not take the computer down. The race detector
	// maps more than any limit.
	if raceSlow == 1 {
		most := uint64(4 << 30)
		if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
	}
	fs := memfs.New(memfs.Options{Mode: 0o777})
	ctx, c := context.Background(), &nfs.Caller{}
	a, _, err := fs.Create(ctx, c, fs.Root(), "file", nfs.CreateHow{})
	if err != nil {
		return err
	}
	if _, _, err := fs.Write(ctx, c, a.ID, bytes.Repeat([]byte("x"), scaleFile), 0, nfs.Unstable); err != nil {
		return err
	}
	s, err := nfs.NewServer(nfs.Options{Limits: limits})
	if err != nil {
		return err
	}
	if err := s.Export(nfs.Export{Path: "/drive", FS: fs, Key: testKey, FSID: 1}); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	root, err := s.RootHandle("/drive")
	if err != nil {
		return err
	}
	nc, err := nfstest.Dial(ctx, l.Addr().String(), nfstest.Auth{})
	if err != nil {
		return err
	}
	f, err := nc.Lookup(ctx, root, "file")
	nc.Close()
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(scalePlace{l.Addr().String(), root, f.Handle}); err != nil {
		return err
	}
	io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		return err
	}
	<-served
	return nil
}

// scaleProcess is one of the other processes.
type scaleProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

func startScale(t *testing.T, role string, spec any) *scaleProcess {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	p := &scaleProcess{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), scaleRole+"="+role, scaleSpec+"="+string(text))
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end() })
	return p
}

// line reads what the process says next.
func (p *scaleProcess) line(v any) {
	p.t.Helper()
	b, err := p.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		p.t.Fatalf("%q: %v", b, err)
	}
}

// end lets the process end by itself.
func (p *scaleProcess) end() {
	p.t.Helper()
	if p.cmd.ProcessState != nil {
		return
	}
	p.stdin.Close()
	kill := time.AfterFunc(testTimeout, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("a process ended with %v", err)
	}
}

// memory is what the process has in memory now and had at most, in bytes.
func (p *scaleProcess) memory() (now, most int64) {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "VmRSS:" && f[0] != "VmHWM:" {
			continue
		}
		kib, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		if f[0] == "VmRSS:" {
			now = kib << 10
		} else {
			most = kib << 10
		}
	}
	return now, most
}

// victim is a client that uses a server as it is meant to be used.
type victim struct {
	t     *testing.T
	c     *nfstest.Client
	place scalePlace
}

// delays are p99 of calls.
type delays struct{ getattr, read time.Duration }

const (
	scaleWindows = 7
	scaleWindow  = 120 * time.Millisecond
)

// window makes calls, one after the other, for a while.
func (v *victim) window() delays {
	v.t.Helper()
	var g, r []time.Duration
	for end := time.Now().Add(scaleWindow); len(r) == 0 || time.Now().Before(end); {
		began := time.Now()
		a, err := v.c.Getattr(v.t.Context(), v.place.File)
		if err != nil || a.Status != 0 {
			v.t.Fatalf("GETATTR: %v, %v", nfs.Status(a.Status), err)
		}
		g = append(g, time.Since(began))
		began = time.Now()
		b, err := v.c.Read(v.t.Context(), v.place.File, 0, 64<<10)
		if err != nil || b.Count != 64<<10 {
			v.t.Fatalf("READ: %v, %v", nfs.Status(b.Status), err)
		}
		r = append(r, time.Since(began))
	}
	return delays{p99(g), p99(r)}
}

func p99(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)*99/100]
}

// measure takes windows of all victims in turn. Of each it gives the median,
// so that what disturbs a window or two does not count.
func measure(all ...*victim) []delays {
	got := make([][2][]time.Duration, len(all))
	for range scaleWindows {
		for i, v := range all {
			d := v.window()
			got[i][0], got[i][1] = append(got[i][0], d.getattr), append(got[i][1], d.read)
		}
	}
	medians := make([]delays, len(all))
	for i := range got {
		slices.Sort(got[i][0])
		slices.Sort(got[i][1])
		medians[i] = delays{got[i][0][scaleWindows/2], got[i][1][scaleWindows/2]}
	}
	return medians
}

// scaleNoise is what a process may wait for a processor that others use: two
// turns of the kernel's scheduler.
const scaleNoise = 8 * time.Millisecond

// compare measures v, which is beset, in turn with calm, whose server is left
// alone on the same computer: what the crowd takes of the processors, or what
// else runs there, is none of the server's faults.
func compare(what string, v, calm *victim, before delays) {
	t := v.t
	t.Helper()
	m := measure(v, calm)
	now, alone := m[0], m[1]
	t.Logf("%s: p99 of GETATTR %v, of READ %v; of a server left alone %v, %v; before %v, %v",
		what, now.getattr, now.read, alone.getattr, alone.read, before.getattr, before.read)
	if most := 2*max(before.getattr, alone.getattr) + scaleNoise; now.getattr > most {
		t.Errorf("%s: GETATTR takes %v, %v allowed", what, now.getattr, most)
	}
	if most := 2*max(before.read, alone.read) + scaleNoise; now.read > most {
		t.Errorf("%s: READ takes %v, %v allowed", what, now.read, most)
	}
}

// newVictim starts a server and a client of it.
func newVictim(t *testing.T, limits nfs.Limits) (*scaleProcess, *victim) {
	t.Helper()
	server := startScale(t, "server", limits)
	v := &victim{t: t}
	server.line(&v.place)
	var err error
	if v.c, err = nfstest.Dial(t.Context(), v.place.Addr, nfstest.Auth{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.c.Close() })
	return server, v
}

// await calls while the crowd takes its place: a client that is at work is not
// idle.
func (v *victim) await(p *scaleProcess) (r scaleReport) {
	v.t.Helper()
	done := make(chan struct{})
	var b []byte
	var err error
	go func() {
		defer close(done)
		b, err = p.out.ReadBytes('\n')
	}()
	for {
		select {
		case <-done:
			if err == nil {
				err = json.Unmarshal(b, &r)
			}
			if err != nil {
				v.t.Fatalf("%q: %v", b, err)
			}
			return r
		default:
			v.window()
		}
	}
}

// serverMemory is the most memory that a server process with these limits may
// take beside what its file systems keep, in bytes:
//
//	48 MiB                              program and runtime
//	+ 2 ×                               the garbage collector lets the heap double
//	  ( Memory                          large requests and replies
//	  + connections × 16 KiB            stack, bookkeeping
//	  + busy × (64 KiB + Calls × 6 KiB) read buffer, small requests and replies
//	  )
//
// where connections are those that are open, Limits.Connections at most, and
// busy those of them that ask without taking the answers.
func serverMemory(l nfs.Limits, connections, busy int) int64 {
	connections = min(connections, l.Connections)
	busy = min(busy, connections)
	return 48<<20 + 2*(l.Memory+int64(connections)*16<<10+int64(busy)*(64<<10+int64(l.Calls)*6<<10))
}

// TestScale: 10,000 idle connections, 100 slow ones, and some that send whatever
// is too large, neither slow down who uses the server as it is meant to be used,
// nor make it use more memory than its limits say. Once they all have room, and
// once, with the limits as they are by default, newcomers take the place of
// those that are idle. It takes about 30 s on two processors.
func TestScale(t *testing.T) {
	if raceSlow > 1 {
		t.Skip("times and memory are measured without the race detector")
	}
	const idle = 10_000
	// The defaults, but for Connections in the first.
	for name, limits := range map[string]nfs.Limits{
		"room for all":      {Connections: 2 * idle, Memory: 128 << 20, Calls: 512},
		"by default limits": {Connections: 64, Memory: 128 << 20, Calls: 512},
	} {
		t.Run(name, func(t *testing.T) {
			server, v := newVictim(t, limits)
			_, calm := newVictim(t, limits)
			measure(v, calm) // to warm up
			before := measure(v)[0]

			quiet := startScale(t, "crowd", scaleCrowd{Place: v.place, Idle: idle})
			report := v.await(quiet)
			compare(fmt.Sprint(idle, " idle connections"), v, calm, before)
			now, _ := server.memory()
			t.Logf("memory with %d open connections: %d MiB", report.Open, now>>20)

			hostile := startScale(t, "crowd", scaleCrowd{Place: v.place, Slow: 50, Deaf: 50, Oversized: 4})
			v.await(hostile)
			compare("slow and oversized ones too", v, calm, before)
			_, most := server.memory()
			bound := serverMemory(limits, idle+200, 100)
			t.Logf("memory: %d MiB at most, %d allowed", most>>20, bound>>20)
			if most-scaleFile > bound {
				t.Errorf("the server has taken %d MiB, %d allowed", most>>20, bound>>20)
			}
			hostile.stdin.Close()
			if hostile.line(&report); report.Answered != 0 {
				t.Errorf("%d oversized calls were done", report.Answered)
			}
			hostile.end()
			quiet.stdin.Close()
			quiet.line(&report)
			if limits.Connections > idle && report.Open != idle {
				t.Errorf("%d of %d idle connections are left, though there was room", report.Open, idle)
			}
			if limits.Connections < idle && report.Open > limits.Connections {
				t.Errorf("%d connections are open, %d allowed", report.Open, limits.Connections)
			}
			quiet.end()
			v.window()
		})
	}
}
