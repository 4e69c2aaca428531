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
)

// A tree is what is in a folder: by path, a directory or a file's bytes.
type tree map[string]entry

type entry struct {
	mode fs.FileMode // the type alone
	size int64       // of files
	sum  [32]byte    // of files: SHA-256
}

func (e entry) String() string {
	if e.mode.IsRegular() {
		return fmt.Sprintf("%d bytes, %x", e.size, e.sum[:4])
	}
	return e.mode.String()
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
		e := entry{mode: d.Type()}
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
	t[dir] = entry{mode: fs.ModeDir}
	for name, e := range o {
		t[filepath.Join(dir, name)] = e
	}
}

// shown is how many differences an error tells.
const shown = 10

// equal is an error that tells what in got differs. The bytes of files for which
// differs holds are not looked at.
func (t tree) equal(got tree, differs func(name string) bool) error {
	var all []string
	for name, e := range t {
		g, ok := got[name]
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
