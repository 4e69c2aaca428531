// Package providertest tells whether a provider keeps the contract of package
// providers, and gives a provider that goes wrong on demand.
package providertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
)

// File is one object of a tree.
type File struct {
	Path string
	Mode fs.FileMode // 0o644 or 0o755 of a file, fs.ModeSymlink of a symbolic link
	Data string      // of a symbolic link, its target
}

// Tree is what the suite reads. It has no empty directories, since not every
// remote can hold them.
func Tree() []File {
	t := []File{
		{"hello.txt", 0o644, "hello, world\n"},
		{"empty", 0o644, ""},
		{"run.sh", 0o755, "#!/bin/sh\n"},
		{"with space/and + percent %41", 0o644, "space"},
		{"ünïcode/日本語.txt", 0o644, "unicode"},
		{"a/b/c/d/e/f/deep", 0o644, "deep"},
		{"long/" + strings.Repeat("n", 255), 0o644, "long name"},
		{"link", fs.ModeSymlink, "hello.txt"},
		{"a/up", fs.ModeSymlink, "../../outside/of it"},
		{"big", 0o644, bigData()},
	}
	for i := range 300 {
		t = append(t, File{fmt.Sprintf("many/file-%03d", i), 0o644, fmt.Sprint(i)})
	}
	return t
}

// bigData is 1 MiB and 7 bytes, every 8 of them different.
func bigData() string {
	var b bytes.Buffer
	for i := 0; b.Len() < 1<<20; i++ {
		fmt.Fprintf(&b, "%07x\n", i)
	}
	return b.String() + "the end"
}

type config struct {
	prepared   bool
	noSymlinks bool
	noExec     bool
	change     func(t *testing.T, f File)
}

// Option fits the suite to a remote.
type Option func(*config)

// Prepared says that the provider that open gives holds Tree already: for
// remotes that cannot be written.
func Prepared() Option { return func(c *config) { c.prepared = true } }

// NoSymlinks is for remotes that have no symbolic links.
func NoSymlinks() Option { return func(c *config) { c.noSymlinks = true } }

// NoExec is for remotes that have no executable bits.
func NoExec() Option { return func(c *config) { c.noExec = true } }

// Changing gives a way to store f on the remote behind the back of the
// provider that was opened last, for remotes that cannot be written.
func Changing(change func(t *testing.T, f File)) Option {
	return func(c *config) { c.change = change }
}

// Run tests a provider. open gives a fresh one, which is empty unless Prepared,
// and whose remote outlives it until the test ends; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) providers.Provider, opts ...Option) {
	s := &suite{open: open}
	for _, o := range opts {
		o(&s.c)
	}
	t.Run("read", s.testRead)
	t.Run("close", s.testClose)
	t.Run("changed", s.testChanged)
	t.Run("write", s.testWrite)
}

type suite struct {
	c    config
	open func(t *testing.T) providers.Provider
}

// limit bounds a test of the suite.
const limit = 2 * time.Minute

// filled gives a provider whose remote holds Tree.
func (s *suite) filled(t *testing.T) (providers.Provider, context.Context) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	p := s.open(t)
	t.Cleanup(func() { p.Close() })
	if s.c.prepared {
		return p, ctx
	}
	w, ok := p.(providers.Writer)
	if !ok {
		t.Fatal("the provider is no Writer: say Prepared and fill the remote with Tree()")
	}
	made := map[string]bool{".": true}
	var mkdir func(dir string)
	mkdir = func(dir string) {
		if made[dir] {
			return
		}
		mkdir(path.Dir(dir))
		if _, err := w.Mkdir(ctx, dir); err != nil {
			t.Fatal(err)
		}
		made[dir] = true
	}
	tree := s.tree()
	for _, f := range tree {
		mkdir(path.Dir(f.Path))
	}
	// All at once, for remotes that are far.
	errs := make([]error, len(tree))
	turn := make(chan struct{}, p.Info().MaxParallel)
	var wg sync.WaitGroup
	for i, f := range tree {
		turn <- struct{}{}
		wg.Go(func() {
			errs[i] = store(ctx, p, f)
			<-turn
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return p, ctx
}

func store(ctx context.Context, p providers.Provider, f File) error {
	if f.Mode&fs.ModeSymlink == 0 {
		_, err := p.(providers.Writer).Put(ctx, f.Path, source(f.Data), providers.PutOptions{Mode: f.Mode})
		return err
	}
	l, ok := p.(providers.Symlinker)
	if !ok {
		return errors.New("the provider is no Symlinker: say NoSymlinks")
	}
	_, err := l.Symlink(ctx, f.Path, f.Data)
	return err
}

func (s *suite) tree() []File {
	return slices.DeleteFunc(Tree(), func(f File) bool { return s.c.noSymlinks && f.Mode&fs.ModeSymlink != 0 })
}

func source(data string) providers.Source { return bytes.NewReader([]byte(data)) }

// list reads a whole listing.
func list(ctx context.Context, p providers.Provider, dir string) (map[string]providers.Entry, error) {
	out := map[string]providers.Entry{}
	for cursor := ""; ; {
		page, err := p.ReadDir(ctx, dir, cursor)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Entries {
			if _, ok := out[e.Name]; ok || e.Name == "" || strings.Contains(e.Name, "/") {
				return nil, fmt.Errorf("list %q: name %q twice or malformed", dir, e.Name)
			}
			out[e.Name] = e
		}
		if page.Next == "" {
			return out, nil
		}
		if page.Next == cursor {
			return nil, fmt.Errorf("list %q: the cursor %q does not move", dir, cursor)
		}
		cursor = page.Next
	}
}

// read reads n bytes at off, and checks the length.
func read(ctx context.Context, o providers.Object, off, n int64) (string, error) {
	r, err := o.ReadRange(ctx, off, n)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return string(b), err
}

// content opens path and reads it whole.
func content(ctx context.Context, p providers.Provider, path string, v providers.Version) (string, error) {
	o, err := p.Open(ctx, path, v)
	if err != nil {
		return "", err
	}
	s, err := read(ctx, o, 0, o.Entry().Size)
	if cerr := o.Close(); err == nil {
		err = cerr
	}
	return s, err
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// directories of the tree with the names in each.
func directories(tree []File) map[string]map[string]*File {
	dirs := map[string]map[string]*File{"": {}}
	for i := range tree {
		f := &tree[i]
		child := f
		for p := f.Path; ; child = nil {
			dir, name := path.Split(p)
			dir = strings.TrimSuffix(dir, "/")
			if dirs[dir] == nil {
				dirs[dir] = map[string]*File{}
			}
			dirs[dir][name] = child
			if dir == "" {
				break
			}
			p = dir
		}
	}
	return dirs
}

// sorted keys, so that failures come in the same order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
