package apps

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A tree is what is in a folder: by path, a directory or a file's bytes.
type tree map[string]entry

type entry struct {
	mode fs.FileMode
	size int64     // of files
	sum  [32]byte  // of files: SHA-256
	time time.Time // of modification, in UTC
}

func (e entry) String() string {
	s := e.mode.String()
	if e.mode.IsRegular() {
		s = fmt.Sprintf("%s, %d bytes, %x", s, e.size, e.sum[:4])
	}
	if !e.time.IsZero() {
		s += e.time.Format(", " + time.RFC3339Nano)
	}
	return s
}

// A view is what is looked at of an entry.
type view func(name string, e entry) entry

// content is the view of bytes alone: a bucket's folder has no permissions and no
// times of its own, and a listing of the bucket does not tell them.
func content(_ string, e entry) entry {
	e.mode, e.time = e.mode.Type(), time.Time{}
	return e
}

// kept is the view of all that w keeps.
func (w *work) kept(_ string, e entry) entry {
	if !w.times {
		e.time = time.Time{}
	}
	return e
}

// read reads all that is in dir.
func read(dir string) (tree, error) {
	t := tree{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		if d.IsDir() && d.Name() == gatewayTemp {
			return filepath.SkipDir
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{mode: i.Mode(), time: i.ModTime().UTC()}
		if e.mode.IsRegular() {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			h := sha256.New()
			if e.size, err = io.Copy(h, f); err != nil {
				return err
			}
			h.Sum(e.sum[:0])
		}
		t[strings.TrimPrefix(name, dir+"/")] = e
		return nil
	})
	return t, err
}

// gatewayTemp is where versitygw keeps parts of uploads in a bucket's folder.
const gatewayTemp = ".sgwtmp"

// add puts what is in o below dir.
func (t tree) add(dir string, o tree) {
	t[dir] = entry{mode: fs.ModeDir | 0o755}
	for name, e := range o {
		t[filepath.Join(dir, name)] = e
	}
}

// shown is how many differences an error tells.
const shown = 10

// equal is an error that tells what in got differs, seen so. Of files for which
// differs holds only the modes are looked at.
func (t tree) equal(got tree, differs func(name string) bool, seen view) error {
	var all []string
	for name, e := range t {
		g, ok := got[name]
		e, g = seen(name, e), seen(name, g)
		switch {
		case !ok:
			all = append(all, name+" is missing: "+e.String())
		case differs != nil && differs(name) && g.mode == e.mode:
		case g != e:
			all = append(all, fmt.Sprintf("%s is %v, not %v", name, g, e))
		}
	}
	for name, g := range got {
		if _, ok := t[name]; !ok {
			all = append(all, name+" is too much: "+g.String())
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return fmt.Errorf("%d differences:\n\t%s", len(all), strings.Join(all[:min(len(all), shown)], "\n\t"))
}

// local does all works on a local disk, for what they leave.
func local(works []*work) error {
	for _, w := range works {
		dir := "/mnt/local/works/" + w.name
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		err := w.run(dir)
		if err == nil {
			w.want, err = read(dir)
		}
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}
