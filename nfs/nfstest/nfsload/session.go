package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/internal/wire"
)

// The names that every export must have, and the formats of numbered ones.
// What is missing is made through NFS.
const (
	bigName     = "big"   // the file to read, with the data of pass 0
	filesName   = "files" // a folder with some empty files
	manyName    = "many"  // a folder with very many
	filesFormat = "file-"
	manyFormat  = "entry-"
	scratchName = "scratch-" // and the server's name: a folder for what is written
	newName     = "new"      // in it: a folder for files that come and go
	newFormat   = "new-"
	dataFormat  = "data-" // in it: files to write
)

var (
	newFile   = wire.Sattr{SetMode: true, Mode: 0o644}
	newFolder = wire.Sattr{SetMode: true, Mode: 0o755}
)

// target is a server that is measured.
type target struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Addr    string `json:"address"`
	Mount   string `json:"mount_address"` // where its MOUNT is
	Export  string `json:"export"`
	PID     int    `json:"pid,omitempty"` // of the process that serves; 0: not known
}

// sizes are what a tree and the calls on it measure, in bytes or files.
type sizes struct {
	Block int `json:"block"`      // of READ and WRITE
	Page  int `json:"page"`       // of READDIR and READDIRPLUS
	Big   int `json:"big_file"`   // the file to read
	Data  int `json:"write_file"` // a file to write
	Files int `json:"files"`      // empty files to look at
	Many  int `json:"entries"`    // of the directory to list
	New   int `json:"new_files"`  // files to create and remove
}

// session is the connections to one server, and what was looked up on them.
type session struct {
	t     *target
	z     sizes
	p     *pattern
	conns []*conn
	root  []byte
}

// open connects n times and asks MOUNT for the root.
func open(t *target, z sizes, p *pattern, n, depth int) (_ *session, err error) {
	s := &session{t: t, z: z, p: p}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for range n {
		c, err := dial(t.Addr, depth, max(z.Block, z.Page))
		if err != nil {
			return nil, err
		}
		s.conns = append(s.conns, c)
	}
	mc := s.conns[0]
	if t.Mount != t.Addr {
		if mc, err = dial(t.Mount, 1, z.Page); err != nil {
			return nil, err
		}
		defer mc.close()
	}
	var m wire.MntResult
	if err := mc.call(mc.headers[1][wire.MountMnt], &wire.MountPath{Path: []byte(t.Export)}, &m); err != nil {
		return nil, fmt.Errorf("MNT: %w", err)
	}
	if m.Status != 0 {
		return nil, fmt.Errorf("MNT of %s: status %d", t.Export, m.Status)
	}
	s.root = bytes.Clone(m.Handle)
	return s, nil
}

func (s *session) close() {
	for _, c := range s.conns {
		c.close()
	}
}

// lookup is the handle of a name; nil if there is none.
func (s *session) lookup(dir []byte, name string) ([]byte, error) {
	var r wire.LookupResult
	if err := s.conns[0].nfs(wire.ProcLookup, &wire.DirOp{Dir: dir, Name: []byte(name)}, &r); err != nil {
		return nil, err
	}
	switch nfs.Status(r.Status) {
	case nfs.OK:
		return bytes.Clone(r.Handle), nil
	case nfs.ErrNoEnt:
		return nil, nil
	}
	return nil, fmt.Errorf("LOOKUP of %s: %w", name, nfs.Status(r.Status))
}

// make is the handle of a name, which it creates if it is missing.
func (s *session) make(dir []byte, name string, folder bool) (handle []byte, fresh bool, err error) {
	if handle, err = s.lookup(dir, name); handle != nil || err != nil {
		return handle, false, err
	}
	where := wire.DirOp{Dir: dir, Name: []byte(name)}
	var r wire.NewResult
	if folder {
		err = s.conns[0].nfs(wire.ProcMkdir, &wire.MkdirArgs{Where: where, Set: newFolder}, &r)
	} else {
		err = s.conns[0].nfs(wire.ProcCreate, &wire.CreateArgs{Where: where, Set: newFile}, &r)
	}
	if err == nil && r.Status != 0 {
		err = nfs.Status(r.Status)
	}
	if err != nil {
		return nil, false, fmt.Errorf("create %s: %w", name, err)
	}
	if handle, err = s.lookup(dir, name); handle == nil && err == nil {
		err = fmt.Errorf("%w: %s is not there after it was made", errWrong, name)
	}
	return handle, true, err
}

// each runs job on a connection without measuring and without an end in time.
func (s *session) each(j job) error {
	c := s.conns[0]
	_, err := c.run(j, 1<<62, time.Since(c.start)+5*time.Minute)
	return err
}

// fill makes what is missing in the export.
func (s *session) fill() error {
	h, fresh, err := s.make(s.root, bigName, false)
	if err == nil && fresh {
		err = s.each(&writeJob{p: s.p, handle: h, stable: nfs.Unstable, blocks: s.z.Big / s.z.Block, size: s.z.Block, passes: 1})
	}
	if err == nil {
		// It also shows that the data is right, and fills what caches there are.
		blocks := s.z.Big / s.z.Block
		err = s.each(&readJob{p: s.p, handle: h, blocks: blocks, size: s.z.Block, left: blocks, once: true})
	}
	if err != nil {
		return fmt.Errorf("%s: %w", bigName, err)
	}
	for _, d := range []struct {
		name, format string
		n            int
	}{{filesName, filesFormat, s.z.Files}, {manyName, manyFormat, s.z.Many}} {
		h, fresh, err := s.make(s.root, d.name, true)
		if err == nil && fresh {
			err = s.each(&nameJob{proc: wire.ProcCreate, dir: h, numbers: numbers(0, d.n), format: d.format})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return nil
}

func numbers(from, to int) []int {
	v := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		v = append(v, i)
	}
	return v
}

// must is the handle of a name that has to be there.
func (s *session) must(dir []byte, name string) ([]byte, error) {
	h, err := s.lookup(dir, name)
	if err == nil && h == nil {
		err = fmt.Errorf("%s: %w", name, os.ErrNotExist)
	}
	return h, err
}

// files is the handles of the empty files, and that of their folder.
func (s *session) files() (dir []byte, files []object, err error) {
	if dir, err = s.must(s.root, filesName); err != nil {
		return nil, nil, err
	}
	files = make([]object, s.z.Files)
	for i := range files {
		files[i].name = string(appendName(nil, filesFormat, i))
	}
	return dir, files, s.each(&resolveJob{dir: dir, files: files})
}

// scratch is the handle of a name in the server's own folder.
func (s *session) scratch(name string, folder bool) ([]byte, error) {
	dir, _, err := s.make(s.root, scratchName+s.t.Name, true)
	if err != nil {
		return nil, err
	}
	h, _, err := s.make(dir, name, folder)
	return h, err
}

// list is the numbers of the files in dir; want is how many there must be, if
// it is not negative.
func (s *session) list(dir []byte, want int) ([]int, error) {
	j := &listJob{dir: dir, format: newFormat, want: want, limit: 1 << 17, page: s.z.Page, once: true}
	err := s.each(j.init(1))
	return j.numbers(), err
}

// size is the size of a file as GETATTR tells it.
func (s *session) size(h []byte) (int, error) {
	var r wire.GetattrResult
	err := s.conns[0].nfs(wire.ProcGetattr, &wire.HandleArgs{Handle: h}, &r)
	if err == nil && r.Status != 0 {
		err = nfs.Status(r.Status)
	}
	return int(r.Attr.Size), err
}

// errIncomplete means that the time was too short for one whole listing.
var errIncomplete = errors.New("no listing came to its end")
