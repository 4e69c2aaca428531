package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/moorage/moorage/providers"
)

// listing is a question for keys.
type listing struct {
	prefix string
	tree   bool   // with what is in directories
	after  string // keys behind this one; "": all
	token  string
	max    int
}

// listed is a page of keys in their order.
type listed struct {
	objects []listedObject
	dirs    []string // keys up to their first slash behind the prefix, which is their end
	next    string   // token; "" if this is the last page
}

type listedObject struct {
	key      string
	etag     string    // as it came
	size     int64     // -1: it was not said
	modified time.Time // UTC; zero: it was not said
}

func (l *listed) empty() bool { return len(l.objects) == 0 && len(l.dirs) == 0 }

// last is the last key of the page, "" if it has none.
func (l *listed) last() string {
	last := ""
	if n := len(l.objects); n > 0 {
		last = l.objects[n-1].key
	}
	if n := len(l.dirs); n > 0 {
		last = max(last, l.dirs[n-1])
	}
	return last
}

// list asks for a page. It takes no other answer than one to this question: an
// empty page is believed to mean that there is nothing.
func (c *call) list(q listing) (*listed, error) { return c.listTold(q, nil) }

// listTold is list that tells the token of the next page as soon as it is known,
// if told is not nil.
func (c *call) listTold(q listing, told func(token string)) (*listed, error) {
	in := &awss3.ListObjectsV2Input{Bucket: &c.r.bucket, EncodingType: types.EncodingTypeUrl}
	n := int32(q.max)
	in.MaxKeys = &n
	if q.prefix != "" {
		in.Prefix = &q.prefix
	}
	slash := "/"
	if !q.tree {
		in.Delimiter = &slash
	}
	if q.after != "" {
		in.StartAfter = &q.after
	}
	if q.token != "" {
		in.ContinuationToken = &q.token
	}
	var p *rawPage
	read := readPage(func(b []byte) (err error) {
		p, err = decodePage(b)
		return err
	}, told)
	_, err := ask(c, func(ctx context.Context, conn *connection) (*awss3.ListObjectsV2Output, error) {
		return conn.ListObjectsV2(ctx, in, read)
	})
	if err != nil {
		if q.token != "" && errors.Is(err, errRefused) {
			return nil, fmt.Errorf("%w: %w", providers.ErrChanged, err) // tokens do not last
		}
		return nil, err
	}
	return p.listed(q)
}

// file describes an object of a listing as the file or symbolic link name.
func (o *listedObject) file(name string, link bool) (providers.Entry, bool) {
	e := providers.Entry{Name: name, Mode: fileMode, Version: providers.Version(bareETag(&o.etag))}
	if link {
		e.Mode = linkMode
	}
	e.Size, e.ModTime = o.size, o.modified
	return e, o.size >= 0
}

// ReadDir lists a directory by the pages of the store.
func (r *Remote) ReadDir(ctx context.Context, path, from string) (providers.Page, error) {
	c, err := r.begin(ctx, "list", path)
	if err != nil {
		return providers.Page{}, err
	}
	defer c.done()
	var page providers.Page
	next, err := c.page(path, from, false, func(rel string, e providers.Entry) {
		page.Entries = append(page.Entries, e)
	})
	page.Next = next
	if err != nil {
		return providers.Page{}, c.fail(err)
	}
	return page, nil
}

// Walk lists a directory and all below it by the pages of the store.
func (r *Remote) Walk(ctx context.Context, path, from string) (providers.WalkPage, error) {
	c, err := r.begin(ctx, "walk", path)
	if err != nil {
		return providers.WalkPage{}, err
	}
	defer c.done()
	var page providers.WalkPage
	next, err := c.page(path, from, true, func(rel string, e providers.Entry) {
		page.Entries = append(page.Entries, providers.WalkEntry{Path: rel, Entry: e})
	})
	page.Next = next
	if err != nil {
		return providers.WalkPage{}, c.fail(err)
	}
	return page, nil
}

// page reads one page of a directory or tree, and gives its entries with their
// paths relative to it.
func (c *call) page(path, from string, tree bool, give func(rel string, e providers.Entry)) (next string, err error) {
	base := c.r.dirKey(path)
	q := listing{prefix: base, tree: tree, max: c.r.o.PageSize}
	var at cursor
	if from != "" {
		if at, err = decodeCursor(from); err != nil {
			return "", fmt.Errorf("%w: %w", providers.ErrChanged, err)
		}
		q.token = at.token
	}
	get := c.follow
	if tree { // whoever walks decides how far
		get = c.list
	}
	l, err := get(q)
	if err != nil {
		return "", err
	}
	if from == "" && l.empty() && l.next == "" && path != "" {
		k, _, err := c.lookup(path)
		switch {
		case err != nil:
			return "", err
		case k != isDir:
			return "", providers.ErrNotDir
		}
		return "", nil // it came to be meanwhile
	}
	c.r.dirs.add(path)
	n := names{c: c, base: base, from: at.last, page: l, held: at.held}
	if err := n.read(tree, give); err != nil {
		return "", err
	}
	if l.next == "" {
		return "", nil
	}
	return cursor{token: l.next, last: max(l.last(), at.last), held: n.held}.encode(), nil
}

// names makes entries of a page. A name can stand for several objects: the
// directory hides the file, and the file the symbolic link. They come in the
// order of their keys, "a", "a.rclonelink", "a/", with others between them, so
// that a page may end before what hides one of its entries, or begin after it: an
// entry is held back until the page comes that would have its directory, and the
// store is asked what was on an earlier page.
type names struct {
	c    *call
	base string
	from string // the last key of the page before, "" if this is the first
	page *listed
	held []held // of earlier pages; then those to hold
}

func (n *names) read(tree bool, give func(rel string, e providers.Entry)) error {
	hidden := map[string]bool{} // by directories: relative paths
	earlier := n.held
	n.held = nil
	for _, d := range n.page.dirs {
		rel := strings.TrimSuffix(d[len(n.base):], "/")
		if shown(rel) {
			hidden[rel] = true
			give(rel, dirEntry(rel))
		}
	}
	for _, h := range earlier {
		switch {
		case hidden[h.rel]:
		case n.behind(h.rel):
			n.held = append(n.held, h)
		default:
			give(h.rel, h.e)
		}
	}
	files := map[string]bool{}
	for i := range n.page.objects {
		if rel := n.page.objects[i].key[len(n.base):]; !isLinkName(rel) {
			files[rel] = true
		}
	}
	entries := map[string]providers.Entry{}
	var order, open []string
	for i := range n.page.objects {
		o := &n.page.objects[i]
		rel := o.key[len(n.base):]
		if marker, ok := strings.CutSuffix(rel, "/"); ok {
			if tree && shown(marker) {
				_, name := split(marker)
				give(marker, dirEntry(name))
			}
			continue
		}
		if !shown(rel) || n.base == n.c.r.prefix && strings.HasPrefix(rel, probePrefix) {
			continue
		}
		_, name := split(rel)
		link := isLinkName(name)
		if link {
			name, rel = strings.TrimSuffix(name, linkSuffix), strings.TrimSuffix(rel, linkSuffix)
			if !shown(rel) || files[rel] {
				continue
			}
		}
		if hidden[rel] {
			continue
		}
		e, ok := o.file(name, link)
		if !ok {
			return fmt.Errorf("%w: a listing without a size", providers.ErrProtocol)
		}
		before := link && n.from != "" && n.base+rel <= n.from
		behind := !tree && n.behind(rel)
		if behind && !before && len(n.held) < maxHeld && holdable(e) {
			n.held = append(n.held, held{rel, e})
			continue
		}
		if before || behind {
			open = append(open, rel)
		}
		entries[rel] = e
		order = append(order, rel)
	}
	if err := n.settle(open, entries); err != nil {
		return err
	}
	for _, rel := range order {
		if e, ok := entries[rel]; ok {
			give(rel, e)
			delete(entries, rel)
		}
	}
	return nil
}

// behind reports whether a later page may have the directory of that name.
func (n *names) behind(rel string) bool {
	return n.page.next != "" && n.base+rel+"/" > n.page.last()
}

// settle takes those entries away that something hides on another page.
func (n *names) settle(rels []string, entries map[string]providers.Entry) error {
	hidden := make([]bool, len(rels))
	err := parallel(len(rels), func(i int) error {
		key := n.base + rels[i]
		l, err := n.c.list(listing{prefix: key + "/", tree: true, max: 1})
		if err != nil {
			return err
		}
		hidden[i] = !l.empty()
		if hidden[i] || entries[rels[i]].Mode.Type() != fs.ModeSymlink {
			return nil
		}
		_, err = n.c.head(key)
		hidden[i] = err == nil
		if errors.Is(err, providers.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, rel := range rels {
		if hidden[i] {
			delete(entries, rel)
		}
	}
	return nil
}

// shown reports whether a relative path can be shown as it is.
func shown(rel string) bool {
	return rel != "." && fs.ValidPath(rel) && strings.IndexByte(rel, 0) < 0
}

// parallel runs f for 0 to n-1 at once, a few at a time, and gives the first
// error by number.
func parallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	turn := make(chan struct{}, maxParallel)
	var wg sync.WaitGroup
	for i := range n {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			errs[i] = f(i)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// kind is what a path stands for.
type kind int

const (
	isDir kind = iota + 1
	isFile
	isLink
)

// lookup finds what is at path: the object of a file or link, nil of a
// directory. Errors: ErrNotExist, ErrNotDir.
func (c *call) lookup(path string) (kind, *object, error) {
	if path == "" {
		return isDir, nil, nil
	}
	_, name := split(path)
	var file *object
	var below *listed
	ferr := providers.ErrNotExist
	lerr := parallel(2, func(i int) (err error) {
		switch {
		case i == 0:
			below, err = c.list(listing{prefix: c.r.dirKey(path), tree: true, max: 1})
		case !isLinkName(name):
			file, ferr = c.head(c.r.fileKey(path))
		}
		return err
	})
	switch {
	case lerr != nil && (ferr != nil || !errors.Is(lerr, providers.ErrPermission)):
		return 0, nil, lerr // else it may not be listed, but read
	case lerr == nil && !below.empty():
		c.r.dirs.add(path)
		return isDir, nil, nil
	case ferr == nil:
		return isFile, file, nil
	case !errors.Is(ferr, providers.ErrNotExist):
		return 0, nil, ferr
	}
	c.r.dirs.drop(path)
	var link *object
	var perr error
	err := parallel(2, func(i int) (err error) {
		if i == 0 {
			perr = c.parent(path)
			return nil
		}
		link, err = c.headLink(path)
		return err
	})
	switch {
	case err == nil:
		return isLink, link, nil
	case !errors.Is(err, providers.ErrNotExist):
		return 0, nil, err
	case perr != nil:
		return 0, nil, perr
	}
	return 0, nil, providers.ErrNotExist
}

// headLink is head of a symbolic link. A store that keeps objects as files may
// refuse to look for a name that it could not have.
func (c *call) headLink(path string) (*object, error) {
	o, err := c.head(c.r.linkKey(path))
	if _, name := split(path); errors.Is(err, errRefused) && len(name)+len(linkSuffix) > maxName {
		err = fmt.Errorf("%w: %w", providers.ErrNotExist, err)
	}
	return o, err
}

const maxName = 255 // bytes of a file's name

// parent tells whether the directory that path is in exists. Errors:
// ErrNotExist, ErrNotDir.
func (c *call) parent(path string) error {
	dir, _ := split(path)
	if c.r.dirs.exists(dir) {
		return nil
	}
	k, _, err := c.lookup(dir)
	if err == nil && k != isDir {
		err = providers.ErrNotDir
	}
	return err
}

// Stat describes the object at path.
func (r *Remote) Stat(ctx context.Context, path string) (providers.Entry, error) {
	c, err := r.begin(ctx, "stat", path)
	if err != nil {
		return providers.Entry{}, err
	}
	defer c.done()
	k, o, err := c.lookup(path)
	if err != nil {
		return providers.Entry{}, c.fail(err)
	}
	_, name := split(path)
	if k == isDir {
		return dirEntry(name), nil
	}
	return o.entry(name, k == isLink), nil
}
