package providertest

import (
	"context"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moorage/moorage/providers"
)

func (s *suite) testRead(t *testing.T) {
	p, ctx := s.filled(t)
	info := p.Info()
	if info.Kind == "" || info.MaxParallel < 1 {
		t.Errorf("Info: Kind %q, MaxParallel %d", info.Kind, info.MaxParallel)
	}
	t.Run("listings", func(t *testing.T) { s.readListings(t, ctx, p) })
	t.Run("bytes", func(t *testing.T) {
		for _, f := range s.tree() {
			if strings.HasPrefix(f.Path, "many/") {
				continue
			}
			if got, err := content(ctx, p, f.Path, ""); err != nil || got != f.Data {
				t.Errorf("%.40q holds %d bytes (%.20q), %v, want %d", f.Path, len(got), got, err, len(f.Data))
			}
		}
	})
	t.Run("ranges", func(t *testing.T) { readRanges(t, ctx, p) })
	t.Run("errors", func(t *testing.T) { s.readErrors(t, ctx, p) })
}

// readListings compares every directory with the tree and with Stat.
func (s *suite) readListings(t *testing.T, ctx context.Context, p providers.Provider) {
	dirs := directories(s.tree())
	info := p.Info()
	for _, dir := range sorted(dirs) {
		got, err := list(ctx, p, dir)
		if err != nil {
			t.Errorf("list %q: %v", dir, err)
			continue
		}
		if !slices.Equal(sorted(got), sorted(dirs[dir])) {
			t.Errorf("list %q: %.200q, want %.200q", dir, sorted(got), sorted(dirs[dir]))
			continue
		}
		st, err := p.Stat(ctx, dir)
		if err != nil || !st.Mode.IsDir() || (dir != "" && st.Name != path.Base(dir)) {
			t.Errorf("stat %q: %+v, %v", dir, st, err)
		}
		s.fillSizes(t, ctx, p, dir, got)
		for name, f := range dirs[dir] {
			if len(dirs[dir]) > 100 && name != "file-007" {
				s.checkEntry(t, path.Join(dir, name), got[name], f)
				continue
			}
			st, err := p.Stat(ctx, path.Join(dir, name))
			if err != nil {
				t.Errorf("stat %q: %v", path.Join(dir, name), err)
				continue
			}
			if st.Size == -1 {
				one := map[string]providers.Entry{name: st}
				s.fillSizes(t, ctx, p, dir, one)
				st = one[name]
			}
			if info.StatKnowsMore && !st.Mode.IsDir() {
				l := got[name]
				l.Mode, l.ModTime = l.Mode.Type()|st.Mode.Perm(), st.ModTime
				got[name] = l
			}
			if l := got[name]; st.Name != l.Name || st.Mode != l.Mode || st.Version != l.Version || !st.ModTime.Equal(l.ModTime) || st.ID != l.ID ||
				st.Size != l.Size && !st.Mode.IsDir() {
				t.Errorf("%q: Stat says %+v, ReadDir %+v", path.Join(dir, name), st, l)
			}
			s.checkEntry(t, path.Join(dir, name), got[name], f)
		}
	}
	if st, err := p.Stat(ctx, ""); err != nil || st.Name != "" || !st.Mode.IsDir() {
		t.Errorf("stat root: %+v, %v", st, err)
	}
}

// fillSizes asks for the sizes that es lacks.
func (s *suite) fillSizes(t *testing.T, ctx context.Context, p providers.Provider, dir string, es map[string]providers.Entry) {
	t.Helper()
	var unknown []providers.Entry
	for _, e := range es {
		if e.Size == -1 && !e.Mode.IsDir() {
			unknown = append(unknown, e)
		}
	}
	if len(unknown) == 0 {
		return
	}
	sizer, ok := p.(providers.Sizer)
	if !ok {
		t.Errorf("list %q: sizes are unknown and there is no Sizer", dir)
		return
	}
	if err := sizer.Sizes(ctx, dir, unknown); err != nil {
		t.Errorf("sizes of %q: %v", dir, err)
	}
	for _, e := range unknown {
		es[e.Name] = e
	}
}

func (s *suite) checkEntry(t *testing.T, p string, e providers.Entry, f *File) {
	t.Helper()
	switch {
	case f == nil:
		if !e.Mode.IsDir() {
			t.Errorf("%q is %v, want a directory", p, e.Mode)
		}
		return
	case f.Mode&fs.ModeSymlink != 0:
		if e.Mode.Type() != fs.ModeSymlink {
			t.Errorf("%q is %v, want a symbolic link", p, e.Mode)
		}
	case e.Mode.Type() != 0:
		t.Errorf("%q is %v, want a file", p, e.Mode)
	case !s.c.noExec && (e.Mode&0o100 != 0) != (f.Mode&0o100 != 0):
		t.Errorf("%q has mode %v, want %v", p, e.Mode, f.Mode)
	}
	if e.Size != int64(len(f.Data)) {
		t.Errorf("%q has size %d, want %d", p, e.Size, len(f.Data))
	}
	if e.Version == "" {
		t.Errorf("%q has no version", p)
	}
}

func readRanges(t *testing.T, ctx context.Context, p providers.Provider) {
	data := bigData()
	size := int64(len(data))
	o, err := p.Open(ctx, "big", "")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if e := o.Entry(); e.Size != size {
		t.Fatalf("the open object has size %d, want %d", e.Size, size)
	}
	ranges := [][2]int64{
		{0, 0}, {0, 1}, {0, size}, {0, size + 100}, {1, 7}, {size - 1, 1}, {size - 1, 100}, {size, 0}, {size, 10}, {size + 100, 10},
		{65535, 2}, {4096, 65536}, {size / 2, size},
	}
	var wg sync.WaitGroup
	for _, r := range ranges {
		wg.Add(1)
		go func() {
			defer wg.Done()
			off, n := r[0], r[1]
			from := min(off, size)
			want := data[from:min(from+n, size)]
			got, err := read(ctx, o, off, n)
			if err != nil || got != want {
				t.Errorf("ReadRange(%d, %d) gave %d bytes, %v, want %d", off, n, len(got), err, len(want))
			}
			if ra, ok := o.(io.ReaderAt); ok {
				b := make([]byte, n)
				m, err := ra.ReadAt(b, off)
				if (err != nil && err != io.EOF) || string(b[:m]) != want || (m < len(b) && err != io.EOF) {
					t.Errorf("ReadAt(%d, %d) gave %d bytes, %v, want %d", off, n, m, err, len(want))
				}
			}
		}()
	}
	wg.Wait()
	r, err := o.ReadRange(ctx, 0, size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing a reader before its end: %v", err)
	}
}

func (s *suite) readErrors(t *testing.T, ctx context.Context, p providers.Provider) {
	_, err := p.Stat(ctx, "no such")
	wantErr(t, "stat of nothing", err, providers.ErrNotExist)
	_, err = p.Stat(ctx, "no/such")
	wantErr(t, "stat below nothing", err, providers.ErrNotExist)
	_, err = p.Stat(ctx, "hello.txt/x")
	wantErr(t, "stat below a file", err, providers.ErrNotDir)
	_, err = p.ReadDir(ctx, "no such", "")
	wantErr(t, "list of nothing", err, providers.ErrNotExist)
	_, err = p.ReadDir(ctx, "hello.txt", "")
	wantErr(t, "list of a file", err, providers.ErrNotDir)
	_, err = p.Open(ctx, "no such", "")
	wantErr(t, "open of nothing", err, providers.ErrNotExist)
	_, err = p.Open(ctx, "a", "")
	wantErr(t, "open of a directory", err, providers.ErrIsDir)
	_, err = p.Open(ctx, "hello.txt", "no such version")
	wantErr(t, "open of a version that never was", err, providers.ErrChanged)
	if !s.c.noSymlinks {
		_, err = p.ReadDir(ctx, "link", "")
		wantErr(t, "list of a symbolic link", err, providers.ErrNotDir)
	}

	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err = p.Stat(gone, "hello.txt")
	wantErr(t, "stat when cancelled", err, context.Canceled)
	_, err = p.ReadDir(gone, "", "")
	wantErr(t, "list when cancelled", err, context.Canceled)
	_, err = p.Open(gone, "hello.txt", "")
	wantErr(t, "open when cancelled", err, context.Canceled)
}

func (s *suite) testClose(t *testing.T) {
	p, ctx := s.filled(t)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := p.Stat(ctx, "hello.txt")
	wantErr(t, "stat after Close", err, providers.ErrClosed)
	_, err = p.ReadDir(ctx, "", "")
	wantErr(t, "list after Close", err, providers.ErrClosed)
	_, err = p.Open(ctx, "hello.txt", "")
	wantErr(t, "open after Close", err, providers.ErrClosed)
}

// testChanged replaces a file and looks for what the old version gives.
func (s *suite) testChanged(t *testing.T) {
	if s.c.prepared && s.c.change == nil {
		t.Skip("no way to change the remote was given")
	}
	p, ctx := s.filled(t)
	before, err := p.Stat(ctx, "big")
	if err != nil {
		t.Fatal(err)
	}
	o, err := p.Open(ctx, "big", before.Version)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	f := File{"big", 0o644, strings.Repeat("other\n", 1000)}
	if s.c.change != nil {
		s.c.change(t, f)
	} else if err := store(ctx, p, f); err != nil {
		t.Fatal(err)
	}
	probe(t, ctx, p)
	after, err := p.Stat(ctx, "big")
	if err != nil || after.Version == before.Version {
		t.Fatalf("after a change the version is %q, %v, as before", after.Version, err)
	}
	if got, err := content(ctx, p, "big", after.Version); err != nil || got != f.Data {
		t.Errorf("the new version holds %d bytes, %v", len(got), err)
	}
	// One version's bytes or an error, whatever was open.
	if got, err := read(ctx, o, 0, o.Entry().Size); err == nil && got != bigData() {
		t.Errorf("the object opened before holds %d bytes of no version", len(got))
	} else if err != nil {
		wantErr(t, "reading the object opened before", err, providers.ErrChanged)
	}
	if got, err := content(ctx, p, "big", before.Version); err == nil && got != bigData() {
		t.Errorf("the old version holds %d bytes of another", len(got))
	} else if err != nil {
		wantErr(t, "opening the old version", err, providers.ErrChanged)
	}
}

// probe turns to what the remote has now.
func probe(t *testing.T, ctx context.Context, p providers.Provider) {
	t.Helper()
	if pr, ok := p.(providers.Prober); ok {
		if v, err := pr.Probe(ctx); err != nil || v == "" {
			t.Fatalf("probe: %q, %v", v, err)
		}
	}
}
