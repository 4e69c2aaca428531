package nfs_test

import (
	"archive/zip"
	"bytes"
	"embed"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

//go:embed testdata/fromfs
var embedded embed.FS

// large compresses, but not to nothing.
var large = func() string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 3<<20)
	for i := range b {
		b[i] = "0123456789abcdef"[r.IntN(16)]
	}
	return string(b)
}()

var fromTree = []nfstest.Node{
	{Path: "empty", Type: nfs.TypeRegular},
	{Path: "small", Type: nfs.TypeRegular, Mode: 0o640, Data: "hello, world\n"},
	{Path: "large", Type: nfs.TypeRegular, Mode: 0o444, Data: large[:300_000]},
	{Path: "dir", Type: nfs.TypeDirectory},
	{Path: "dir/one", Type: nfs.TypeRegular, Data: "1"},
	{Path: "dir/deep", Type: nfs.TypeDirectory},
	{Path: "dir/deep/er", Type: nfs.TypeDirectory},
	{Path: "link", Type: nfs.TypeSymlink, Target: "dir/one"},
	{Path: "dangling", Type: nfs.TypeSymlink, Target: "/nowhere/at all"},
}

// noLinks are the nodes that are no symbolic links.
func noLinks(tree []nfstest.Node) (nodes []nfstest.Node) {
	for _, n := range tree {
		if n.Type != nfs.TypeSymlink {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// fromFS is FromFS for a test, at whose end nothing may stay open.
func fromFS(t testing.TB, fsys fs.FS) nfs.FileSystem {
	f := nfs.FromFS(fsys)
	t.Cleanup(func() {
		if err := f.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func mapOf(tree []nfstest.Node) fstest.MapFS {
	m := fstest.MapFS{}
	for _, n := range tree {
		f := &fstest.MapFile{Data: []byte(n.Data), Mode: fs.FileMode(n.Mode)}
		switch n.Type {
		case nfs.TypeDirectory:
			f.Mode = fs.ModeDir | 0o755
		case nfs.TypeSymlink:
			f.Mode, f.Data = fs.ModeSymlink, []byte(n.Target)
		}
		m[n.Path] = f
	}
	return m
}

func zipOf(t testing.TB, tree []nfstest.Node) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, n := range tree {
		h := &zip.FileHeader{Name: n.Path, Method: zip.Deflate}
		h.SetMode(fs.FileMode(n.Mode))
		if i%2 == 0 {
			h.Method = zip.Store
		}
		if n.Type == nfs.TypeDirectory {
			h.Name += "/"
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(f, n.Data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func openZip(t testing.TB, b []byte) *zip.Reader {
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func folderOf(t testing.TB, tree []nfstest.Node) string {
	dir := t.TempDir()
	for _, n := range tree {
		p := filepath.Join(dir, filepath.FromSlash(n.Path))
		var err error
		switch n.Type {
		case nfs.TypeDirectory:
			err = os.Mkdir(p, 0o755)
		case nfs.TypeSymlink:
			err = os.Symlink(n.Target, p)
		default:
			if err = os.WriteFile(p, []byte(n.Data), 0o644); err == nil && n.Mode != 0 {
				err = os.Chmod(p, fs.FileMode(n.Mode))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// plainFS hides everything of an fs.FS but Open, and of its files but reading.
type plainFS struct {
	fsys fs.FS
	mu   sync.Mutex
	open int
	most int
	all  int
}

func (p *plainFS) Open(name string) (fs.File, error) {
	f, err := p.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	p.count(1)
	if d, ok := f.(fs.ReadDirFile); ok {
		return plainDir{plainFile{p, f}, d}, nil
	}
	return plainFile{p, f}, nil
}

func (p *plainFS) count(d int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open += d
	p.all += max(d, 0)
	p.most = max(p.most, p.open)
}

type plainFile struct {
	p *plainFS
	f fs.File
}

func (f plainFile) Read(b []byte) (int, error) {
	return f.f.Read(b[:min(len(b), 5000)])
}
func (f plainFile) Stat() (fs.FileInfo, error) { return f.f.Stat() }
func (f plainFile) Close() error               { f.p.count(-1); return f.f.Close() }

type plainDir struct {
	plainFile
	d fs.ReadDirFile
}

func (d plainDir) ReadDir(n int) ([]fs.DirEntry, error) { return d.d.ReadDir(n) }

// seekFS has files that can seek, and nothing else.
type seekFS struct{ fsys fs.FS }

func (s seekFS) Open(name string) (fs.File, error) {
	f, err := s.fsys.Open(name)
	if sk, ok := f.(io.Seeker); ok && err == nil {
		return struct {
			fs.File
			io.Seeker
		}{f, sk}, nil
	}
	return f, err
}
