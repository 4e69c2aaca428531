// Package mem is a remote in memory: the reference for what a provider does,
// with strong versions, conditions, moves and symbolic links.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
)

// Options are the choices of a Remote. The zero value is ready to use.
type Options struct {
	Clock        func() time.Time // nil: time.Now
	PageSize     int              // entries in a page of a listing; 0: 1000
	Quota        int64            // bytes of file data; 0: no limit
	KeepVersions bool             // replaced and removed versions can still be opened, as in a repository
}

// Remote is a remote in memory. It is a Provider, Writer, Mover, Symlinker,
// Prober and Usage. A directory's version covers everything below it.
type Remote struct {
	o Options

	mu     sync.Mutex
	root   *node
	next   int64 // counts versions and ids
	used   int64
	old    map[string]map[providers.Version]*object
	closed bool
}

var (
	_ providers.Provider  = (*Remote)(nil)
	_ providers.Writer    = (*Remote)(nil)
	_ providers.Mover     = (*Remote)(nil)
	_ providers.Symlinker = (*Remote)(nil)
	_ providers.Prober    = (*Remote)(nil)
	_ providers.Usage     = (*Remote)(nil)
)

// node is one object. data is never changed once it is in a node.
type node struct {
	entry    providers.Entry
	data     []byte // of a file, or the target of a symbolic link
	children map[string]*node
}

// New makes an empty remote.
func New(o Options) *Remote {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.PageSize <= 0 {
		o.PageSize = 1000
	}
	r := &Remote{o: o, old: map[string]map[providers.Version]*object{}}
	r.root = r.newNode("", fs.ModeDir|0o755, nil)
	return r
}

// Info tells that versions are strong and cover trees.
func (r *Remote) Info() providers.Info {
	return providers.Info{
		Kind: providers.KindMem, Writable: true, StrongVersion: true, TreeVersion: true,
		TimePrecision: time.Nanosecond, PreferredReadSize: 1 << 20, MaxParallel: 64,
	}
}

// newNode makes a node with a new id and version. Called with mu held, or
// before r is shared.
func (r *Remote) newNode(name string, mode fs.FileMode, data []byte) *node {
	r.next++
	n := &node{data: data, entry: providers.Entry{
		Name: name, Mode: mode, Size: int64(len(data)), ModTime: r.o.Clock(), ID: "n" + strconv.FormatInt(r.next, 10), Version: r.version(),
	}}
	if mode.IsDir() {
		n.children = map[string]*node{}
	}
	return n
}

func (r *Remote) version() providers.Version {
	r.next++
	return providers.Version("v" + strconv.FormatInt(r.next, 10))
}

// begin checks what every call checks and leaves mu held if it returns nil.
func (r *Remote) begin(ctx context.Context, op, p string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p != "" && (p == "." || !fs.ValidPath(p)) {
		return fmt.Errorf("%s %q: %w", op, p, fs.ErrInvalid)
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return fmt.Errorf("%s: %w", op, providers.ErrClosed)
	}
	return nil
}

// walk finds the node at p. Called with mu held.
func (r *Remote) walk(op, p string) (*node, error) {
	n := r.root
	if p == "" {
		return n, nil
	}
	for _, elem := range strings.Split(p, "/") {
		if n.children == nil {
			return nil, fmt.Errorf("%s %q: %w", op, p, providers.ErrNotDir)
		}
		c, ok := n.children[elem]
		if !ok {
			return nil, fmt.Errorf("%s %q: %w", op, p, providers.ErrNotExist)
		}
		n = c
	}
	return n, nil
}

// parent finds the directory that holds p. Called with mu held.
func (r *Remote) parent(op, p string) (*node, string, error) {
	if p == "" {
		return nil, "", fmt.Errorf("%s the root: %w", op, fs.ErrInvalid)
	}
	dir, name := path.Split(p)
	d, err := r.walk(op, strings.TrimSuffix(dir, "/"))
	if err != nil {
		return nil, "", err
	}
	if d.children == nil {
		return nil, "", fmt.Errorf("%s %q: %w", op, p, providers.ErrNotDir)
	}
	return d, name, nil
}

// touch gives every directory from the root to dir a new version; the last
// one's membership changed, so its time moves too. Called with mu held.
func (r *Remote) touch(dir string) {
	v := r.version()
	n := r.root
	n.entry.Version = v
	if dir != "" {
		for _, elem := range strings.Split(dir, "/") {
			n = n.children[elem]
			n.entry.Version = v
		}
	}
	n.entry.ModTime = r.o.Clock()
}

func dirOf(p string) string { return strings.TrimSuffix(p[:len(p)-len(path.Base(p))], "/") }

// Stat describes the object at p.
func (r *Remote) Stat(ctx context.Context, p string) (providers.Entry, error) {
	if err := r.begin(ctx, "stat", p); err != nil {
		return providers.Entry{}, err
	}
	defer r.mu.Unlock()
	n, err := r.walk("stat", p)
	if err != nil {
		return providers.Entry{}, err
	}
	return n.entry, nil
}

// ReadDir lists by name; the cursor is the last name of the page before.
func (r *Remote) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	if err := r.begin(ctx, "list", p); err != nil {
		return providers.Page{}, err
	}
	defer r.mu.Unlock()
	n, err := r.walk("list", p)
	if err != nil {
		return providers.Page{}, err
	}
	if n.children == nil {
		return providers.Page{}, fmt.Errorf("list %q: %w", p, providers.ErrNotDir)
	}
	var names []string
	for name := range n.children {
		if name > cursor {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var page providers.Page
	if len(names) > r.o.PageSize {
		names = names[:r.o.PageSize]
		page.Next = names[len(names)-1]
	}
	for _, name := range names {
		page.Entries = append(page.Entries, n.children[name].entry)
	}
	return page, nil
}

// Open gives the bytes of a version, which stay readable when it is replaced.
func (r *Remote) Open(ctx context.Context, p string, v providers.Version) (providers.Object, error) {
	if err := r.begin(ctx, "open", p); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	n, err := r.walk("open", p)
	if err == nil && n.children != nil {
		return nil, fmt.Errorf("open %q: %w", p, providers.ErrIsDir)
	}
	if err == nil && (v == "" || v == n.entry.Version) {
		return &object{entry: n.entry, data: n.data}, nil
	}
	if o := r.old[p][v]; o != nil {
		return o, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("open %q: %w", p, providers.ErrChanged)
}

// Probe gives the version of the root, which covers the whole remote.
func (r *Remote) Probe(ctx context.Context) (providers.Version, error) {
	if err := r.begin(ctx, "probe", ""); err != nil {
		return "", err
	}
	defer r.mu.Unlock()
	return r.root.entry.Version, nil
}

// Usage counts the bytes of current files.
func (r *Remote) Usage(ctx context.Context) (used, total int64, err error) {
	if err := r.begin(ctx, "usage", ""); err != nil {
		return 0, 0, err
	}
	defer r.mu.Unlock()
	return r.used, r.o.Quota, nil
}

// Close makes every later call fail. Open objects stay readable.
func (r *Remote) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return nil
}

// object is one version. It is not an io.ReaderAt, so that what is built on
// this package is tried with ranges, as with a far remote.
type object struct {
	entry providers.Entry
	data  []byte
}

func (o *object) Entry() providers.Entry { return o.entry }

func (o *object) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("read range %d+%d: %w", off, n, fs.ErrInvalid)
	}
	off = min(off, int64(len(o.data)))
	n = min(n, int64(len(o.data))-off)
	return io.NopCloser(bytes.NewReader(o.data[off : off+n])), nil
}

func (o *object) Close() error { return nil }
