// Command nfsload measures NFSv3 servers: moorage beside others, or any that
// run already, all in one run whose rounds take turns, so that what else the
// computer does harms all of them alike.
//
//	go run ./nfs/nfstest/nfsload -start moorage,ganesha,echo
//	go run ./nfs/nfstest/nfsload -server mine=127.0.0.1:2049/export,pid=4711
//
// It makes the load with one thread that allocates nothing, so that the servers
// get the processor, and it believes no server: data that is read is compared,
// files that were written are read back, folders are counted after files were
// created and removed, and a listing must have each name once and no cookie
// twice. A server that fails that is reported as failed, not as fast.
//
// nfs/BENCHMARKS.md tells how to read the tables.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	// Whatever ends this program, the servers that it started end with it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "nfsload:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	z         sizes
	conns     int
	depths    string
	rounds    int
	seconds   time.Duration
	workloads string
	servers   []string
	start     string
	folder    string
	bin       string
	moorage   string
	json      string
	update    string
	prepare   bool
	procs     int
	echo      string
}

func (o *options) flags(errw io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("nfsload", flag.ContinueOnError)
	f.SetOutput(errw)
	f.IntVar(&o.z.Block, "block", 128<<10, "`bytes` of a READ or WRITE, a multiple of 4")
	f.IntVar(&o.z.Page, "page", 64<<10, "`bytes` of a reply to READDIR or READDIRPLUS")
	f.IntVar(&o.z.Big, "big", 256<<20, "`bytes` of the file that is read")
	f.IntVar(&o.z.Data, "data", 64<<20, "`bytes` of a file that is written")
	f.IntVar(&o.z.Files, "files", 1000, "`number` of files to look at")
	f.IntVar(&o.z.Many, "entries", 100000, "`number` of entries of the directory that is listed")
	f.IntVar(&o.z.New, "new", 10000, "`number` of files that one connection creates and removes")
	f.IntVar(&o.conns, "conns", 1, "`number` of connections")
	f.StringVar(&o.depths, "depth", "16", "`number` of calls under way on a connection; several with commas, each measured")
	f.IntVar(&o.rounds, "rounds", 3, "`number` of rounds")
	f.DurationVar(&o.seconds, "time", time.Second, "`duration` of one measurement")
	f.StringVar(&o.workloads, "workloads", "all", "`names` with commas; with a - in front: all but these")
	f.Func("server", "`NAME=HOST:PORT/EXPORT[,mount=PORT][,pid=N]` of a server that runs; may be repeated", func(s string) error {
		o.servers = append(o.servers, s)
		return nil
	})
	f.StringVar(&o.start, "start", "", "`names` of servers to start, of "+peerNames)
	f.StringVar(&o.folder, "folder", "/dev/shm/nfsload", "`folder` that started servers serve; it is made if it is missing, and kept")
	f.StringVar(&o.bin, "bin", filepath.Join(os.TempDir(), "nfsload-bin"), "`folder` where programs of servers are looked for and built")
	f.StringVar(&o.moorage, "moorage", "", "`program` moorage, with mooraged beside it (default: build both)")
	f.StringVar(&o.json, "json", "", "`file` for all samples")
	f.StringVar(&o.update, "update", "", "Markdown `file` whose part behind the heading Results is replaced by the tables")
	f.BoolVar(&o.prepare, "prepare", false, "prepare the folder and end")
	f.IntVar(&o.procs, "procs", 1, "`number` of threads that make the load")
	f.StringVar(&o.echo, "echo", "", "be the server echo for a tree of these `sizes`")
	return f
}

func (o *options) check() error {
	if o.z.Block <= 0 || o.z.Block%4 != 0 || o.z.Big%o.z.Block != 0 || o.z.Data%o.z.Block != 0 {
		return fmt.Errorf("-big %d and -data %d must be multiples of -block %d, which must be one of 4", o.z.Big, o.z.Data, o.z.Block)
	}
	if o.z.Files <= 0 || o.z.Many <= 0 || o.z.New <= 0 || o.z.Many > 999999 || o.z.New*o.conns > 1<<17 {
		return errors.New("there must be at least one file, at most 999999 entries and 131072 new files")
	}
	if o.conns <= 0 || o.rounds <= 0 || o.procs <= 0 || o.z.Page < 1024 {
		return errors.New("-conns, -rounds and -procs must be at least 1, -page 1024")
	}
	return nil
}

func run(ctx context.Context, args []string, out, errw io.Writer) error {
	var o options
	f := o.flags(errw)
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.echo != "" {
		return serveEcho(ctx, o.echo, out)
	}
	if err := o.check(); err != nil {
		return err
	}
	chosen, err := choose(o.workloads)
	if err != nil {
		return err
	}
	depths, err := parseDepths(o.depths)
	if err != nil {
		return err
	}
	p := newPattern(o.z.Block)
	if o.prepare || o.start != "" {
		if err := prepare(o.folder, o.z, p); err != nil {
			return fmt.Errorf("prepare %s: %w", o.folder, err)
		}
	}
	if o.prepare {
		return nil
	}
	r := &report{
		Date: time.Now(), System: fmt.Sprintf("%s/%s, %d processors, %s%s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), systemNote()),
		Sizes: o.z, Conns: o.conns, Rounds: o.rounds, Seconds: o.seconds.Seconds(), units: map[string]unit{},
	}
	say := func(format string, args ...any) { fmt.Fprintf(errw, format+"\n", args...) }
	for _, s := range o.servers {
		t, err := parseTarget(s)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(r.Servers, func(o *target) bool { return o.Name == t.Name }) {
			return fmt.Errorf("-server %s: there is a server of this name", s)
		}
		r.Servers = append(r.Servers, t)
	}
	if o.start != "" {
		work, err := os.MkdirTemp("", "nfsload")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		if err := os.MkdirAll(o.bin, 0o755); err != nil {
			return err
		}
		fm := &farm{folder: o.folder, bin: o.bin, work: work, moorage: o.moorage, z: o.z, log: say}
		defer fm.stop()
		for _, name := range strings.Split(o.start, ",") {
			t, err := fm.start(ctx, name)
			if err != nil {
				r.Missing = append(r.Missing, err.Error())
				say("%v", err)
				continue
			}
			r.Servers = append(r.Servers, t)
		}
	}
	if len(r.Servers) == 0 {
		return errors.New("no server: say which by -server or -start")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(o.procs))
	m := &runner{z: o.z, conns: o.conns, seconds: o.seconds, p: p}
	for _, t := range r.Servers {
		if err := m.fill(t); err != nil {
			return fmt.Errorf("prepare the export of %s: %w", t.Name, err)
		}
	}
	m.all(ctx, r, chosen, depths, o.rounds, say)
	r.finish()
	var tables bytes.Buffer
	r.markdown(&tables)
	if _, err := out.Write(tables.Bytes()); err != nil {
		return err
	}
	if o.update != "" && ctx.Err() == nil {
		if err := update(o.update, tables.Bytes()); err != nil {
			return err
		}
	}
	if o.json != "" {
		w, err := os.Create(o.json)
		if err != nil {
			return err
		}
		if err := errors.Join(r.json(w), w.Close()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// fill makes what an export lacks.
func (r *runner) fill(t *target) error {
	s, err := open(t, r.z, r.p, 1, 2)
	if err != nil {
		return err
	}
	defer s.close()
	return s.fill()
}

// all measures every server under every workload, round by round; in each round
// another server begins.
func (r *runner) all(ctx context.Context, rep *report, chosen []workload, depths []int, rounds int, say func(string, ...any)) {
	cells := map[string]*cell{}
	for round := range rounds {
		for _, depth := range depths {
			for i := range chosen {
				w := &chosen[i]
				if depth == 1 && len(depths) > 1 && !w.depth1 {
					continue
				}
				rep.units[w.name] = w.unit
				for k := range rep.Servers {
					t := rep.Servers[(k+round)%len(rep.Servers)]
					key := fmt.Sprint(t.Name, " ", w.name, " ", depth)
					c := cells[key]
					if c == nil {
						c = &cell{Server: t.Name, Workload: w.name, Depth: depth}
						cells[key] = c
						rep.Cells = append(rep.Cells, c)
					}
					n := len(c.Samples)
					r.measure(ctx, t, w, c)
					switch {
					case len(c.Samples) > n:
						m := (&cell{Samples: c.Samples[n:]}).median(w.unit)
						say("round %d: %s: %s", round+1, key, m.String())
					case ctx.Err() == nil:
						say("round %d: %s: %s", round+1, key, c.Error)
					}
				}
			}
		}
	}
}

// choose is the workloads that names stands for.
func choose(names string) ([]workload, error) {
	all := workloads()
	if names == "all" {
		return all, nil
	}
	names, but := strings.CutPrefix(names, "-")
	list := strings.Split(names, ",")
	for _, n := range list {
		if !slices.ContainsFunc(all, func(w workload) bool { return w.name == n }) {
			var known []string
			for _, w := range all {
				known = append(known, w.name)
			}
			return nil, fmt.Errorf("no workload %q; known are %s", n, strings.Join(known, ","))
		}
	}
	return slices.DeleteFunc(all, func(w workload) bool { return slices.Contains(list, w.name) == but }), nil
}

func parseDepths(s string) ([]int, error) {
	var v []int
	for _, f := range strings.Split(s, ",") {
		n, err := strconv.Atoi(f)
		if err != nil || n < 1 || n > 1024 {
			return nil, fmt.Errorf("-depth %s: a number from 1 to 1024 is wanted", s)
		}
		v = append(v, n)
	}
	return v, nil
}

// parseTarget reads NAME=HOST:PORT/EXPORT[,mount=PORT][,pid=N].
func parseTarget(s string) (*target, error) {
	name, rest, _ := strings.Cut(s, "=")
	parts := strings.Split(rest, ",")
	addr, export, ok := strings.Cut(parts[0], "/")
	host, _, err := net.SplitHostPort(addr)
	if name == "" || strings.Contains(name, "/") || !ok || err != nil {
		return nil, fmt.Errorf("-server %s: not NAME=HOST:PORT/EXPORT", s)
	}
	t := &target{Name: name, Addr: addr, Mount: addr, Export: "/" + export}
	for _, p := range parts[1:] {
		key, value, _ := strings.Cut(p, "=")
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("-server %s: %s: %w", s, p, err)
		}
		switch key {
		case "mount":
			t.Mount = net.JoinHostPort(host, value)
		case "pid":
			t.PID = n
		default:
			return nil, fmt.Errorf("-server %s: what is %s?", s, key)
		}
	}
	if t.PID == 0 {
		t.PID = listenerPID(addr)
	}
	return t, nil
}

// serveEcho runs the server echo on a free port, whose address it prints first,
// until ctx ends.
func serveEcho(ctx context.Context, arg string, out io.Writer) error {
	var z sizes
	if err := json.Unmarshal([]byte(arg), &z); err != nil {
		return fmt.Errorf("-echo: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return errors.Join(err, l.Close())
	}
	if err := newEcho(z).serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
