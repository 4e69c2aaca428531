package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
)

// unit is what a workload counts.
type unit struct {
	rate  string  // of the rate
	scale float64 // so many units make one of the rate's
	per   string  // of the processor time
	much  float64 // so many units make one of these
}

var (
	opsUnit     = unit{"ops/s", 1, "100k ops", 1e5}
	bytesUnit   = unit{"MB/s", 1e6, "GB", 1e9}
	entriesUnit = unit{"entries/s", 1, "M entries", 1e6}
)

// workload is one kind of load. jobs makes the job of each connection of a
// session, looking up what they need; verify is called after the run, and
// neither is measured.
type workload struct {
	name   string
	unit   unit
	warm   bool // run it shortly before it is measured
	depth1 bool // worth measuring with one call at a time
	jobs   func(s *session) ([]counted, error)
	verify func(s *session, jobs []counted) error
}

// counted is a job that counts units.
type counted interface {
	job
	count() int
}

func workloads() []workload {
	return []workload{
		{name: "null", unit: opsUnit, warm: true, depth1: true, jobs: func(s *session) ([]counted, error) {
			return eachConn(s, func(int) counted { return new(nullJob) }), nil
		}},
		{name: "getattr", unit: opsUnit, warm: true, depth1: true, jobs: small(wire.ProcGetattr)},
		{name: "lookup", unit: opsUnit, warm: true, depth1: true, jobs: small(wire.ProcLookup)},
		{name: "access", unit: opsUnit, warm: true, depth1: true, jobs: small(wire.ProcAccess)},
		{name: "read-seq", unit: bytesUnit, warm: true, jobs: read(false)},
		{name: "read-rand", unit: bytesUnit, warm: true, depth1: true, jobs: read(true)},
		{name: "write-unstable", unit: bytesUnit, jobs: write(nfs.Unstable), verify: readBack},
		{name: "write-stable", unit: bytesUnit, depth1: true, jobs: write(nfs.FileSync), verify: readBack},
		{name: "create", unit: opsUnit, depth1: true, jobs: create, verify: created},
		{name: "remove", unit: opsUnit, depth1: true, jobs: remove, verify: removed},
		{name: "readdir", unit: entriesUnit, warm: true, jobs: list(false), verify: listed},
		{name: "readdirplus", unit: entriesUnit, warm: true, jobs: list(true), verify: listed},
	}
}

func eachConn(s *session, f func(i int) counted) []counted {
	jobs := make([]counted, len(s.conns))
	for i := range jobs {
		jobs[i] = f(i)
	}
	return jobs
}

func small(proc int) func(*session) ([]counted, error) {
	return func(s *session) ([]counted, error) {
		dir, files, err := s.files()
		if err != nil {
			return nil, err
		}
		return eachConn(s, func(i int) counted {
			return &smallJob{proc: proc, dir: dir, files: files, at: i * len(files) / len(s.conns)}
		}), nil
	}
}

func read(random bool) func(*session) ([]counted, error) {
	return func(s *session) ([]counted, error) {
		h, err := s.must(s.root, bigName)
		if err != nil {
			return nil, err
		}
		n, err := s.size(h)
		if err == nil && n != s.z.Big {
			err = fmt.Errorf("%w: %s has %d bytes, not %d", errWrong, bigName, n, s.z.Big)
		}
		if err != nil {
			return nil, err
		}
		blocks := s.z.Big / s.z.Block
		return eachConn(s, func(i int) counted {
			return &readJob{p: s.p, handle: h, blocks: blocks, size: s.z.Block, at: i * blocks / len(s.conns), random: random}
		}), nil
	}
}

func write(stable nfs.Stable) func(*session) ([]counted, error) {
	return func(s *session) ([]counted, error) {
		handles := make([][]byte, len(s.conns))
		for i := range handles {
			var err error
			if handles[i], err = s.scratch(string(appendName(nil, dataFormat, i)), false); err != nil {
				return nil, err
			}
		}
		return eachConn(s, func(i int) counted {
			return &writeJob{
				p: s.p, handle: handles[i], stable: stable, blocks: s.z.Data / s.z.Block, size: s.z.Block, pass: rand.IntN(1 << 20),
			}
		}), nil
	}
}

func readBack(s *session, jobs []counted) error {
	for _, j := range jobs {
		w := j.(*writeJob)
		if w.begun == 0 {
			continue
		}
		err := s.each(&readJob{p: s.p, handle: w.handle, pass: w.pass, blocks: w.blocks, size: w.size, left: w.blocks, once: true})
		if err != nil {
			return fmt.Errorf("read back: %w", err)
		}
	}
	return nil
}

// create starts with an empty folder.
func create(s *session) ([]counted, error) {
	dir, have, err := s.leftover()
	if err == nil && len(have) > 0 {
		err = s.each(&nameJob{proc: wire.ProcRemove, dir: dir, numbers: have, format: newFormat})
	}
	if err != nil {
		return nil, err
	}
	return eachConn(s, func(i int) counted {
		return &nameJob{proc: wire.ProcCreate, dir: dir, numbers: numbers(i*s.z.New, (i+1)*s.z.New), format: newFormat}
	}), nil
}

func (s *session) leftover() (dir []byte, have []int, err error) {
	if dir, err = s.scratch(newName, true); err == nil {
		have, err = s.list(dir, -1)
	}
	return dir, have, err
}

func created(s *session, jobs []counted) error {
	want := 0
	for _, j := range jobs {
		want += j.count()
	}
	_, err := s.list(jobs[0].(*nameJob).dir, want)
	return err
}

// remove starts with a full folder: what create has left, or as much.
func remove(s *session) ([]counted, error) {
	dir, have, err := s.leftover()
	if err == nil && len(have) == 0 {
		have = numbers(0, s.z.New*len(s.conns))
		err = s.each(&nameJob{proc: wire.ProcCreate, dir: dir, numbers: have, format: newFormat})
	}
	if err != nil {
		return nil, err
	}
	n := len(s.conns)
	return eachConn(s, func(i int) counted {
		return &nameJob{proc: wire.ProcRemove, dir: dir, numbers: have[i*len(have)/n : (i+1)*len(have)/n], format: newFormat}
	}), nil
}

func removed(s *session, jobs []counted) error {
	left := 0
	for _, j := range jobs {
		left += len(j.(*nameJob).numbers)
	}
	_, err := s.list(jobs[0].(*nameJob).dir, left)
	return err
}

// listPatience is for servers that need long for a listing, the first above all;
// it is for the warm-up and the measurement together.
const listPatience = 20 * time.Second

func list(plus bool) func(*session) ([]counted, error) {
	return func(s *session) ([]counted, error) {
		dir, err := s.must(s.root, manyName)
		if err != nil {
			return nil, err
		}
		return eachConn(s, func(int) counted {
			j := &listJob{
				plus: plus, dir: dir, format: manyFormat, want: s.z.Many, limit: s.z.Many, page: s.z.Page,
				patience: time.Now().Add(listPatience),
			}
			return j.init(1)
		}), nil
	}
}

// listed wants one complete listing at least, since nothing else was checked.
func listed(_ *session, jobs []counted) error {
	for _, j := range jobs {
		if j.(*listJob).complete > 0 {
			return nil
		}
	}
	return errIncomplete
}
