package git

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/lfs"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/store"
)

// minPointer is the size of the shortest pointer of Git LFS.
const minPointer = 120

// largeFiles is what is known of Git LFS in a repository.
type largeFiles struct {
	mu         sync.Mutex
	attributes map[object.ID]*lfs.Attributes // by the id of a .gitattributes file
	pointers   map[object.ID]*lfs.Pointer    // by blob; nil: is none
	auth       *lfs.Endpoint                 // from git-lfs-authenticate
	authUntil  time.Time
}

const (
	maxKnownAttributes = 1000
	maxKnownPointers   = 200_000
)

// folderRules are the attributes that hold in a folder.
type folderRules struct {
	dir    string // from the root of the repository
	levels []lfs.Level
	known  bool // false: a .gitattributes file is not here yet
}

func (f *folderRules) isLFS(name string) bool {
	return len(f.levels) > 0 && lfs.Filter(f.levels, join2(f.dir, name)) == "lfs"
}

// rules reads the .gitattributes files that hold in dir, a folder of what is
// shown. If one is not here, and ctx is done, known is false.
func (r *Remote) rules(ctx context.Context, snap *snapshot, dir string) (*folderRules, error) {
	out := &folderRules{dir: dir, known: true}
	if snap.subdir != "" {
		out.dir = strings.TrimSuffix(snap.subdir+"/"+dir, "/")
	}
	id, at := snap.root, ""
	rest := out.dir
	for {
		t, err := r.tree(ctx, id, snap.id)
		if err != nil {
			return unknown(ctx, out, err)
		}
		if e, ok := t.find(".gitattributes"); ok && (e.Mode == object.ModeFile || e.Mode == object.ModeExec) {
			a, err := r.attributesOf(ctx, snap, e)
			if err != nil {
				return unknown(ctx, out, err)
			}
			out.levels = append(out.levels, lfs.Level{Dir: at, Attributes: a})
		}
		if rest == "" {
			return out, nil
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		e, ok := t.find(name)
		if !ok || e.Mode != object.ModeTree {
			return out, nil
		}
		id, at = e.ID, join2(at, name)
	}
}

func unknown(ctx context.Context, f *folderRules, err error) (*folderRules, error) {
	f.known = false
	if ctx.Err() != nil {
		return f, nil
	}
	return f, err
}

func (r *Remote) attributesOf(ctx context.Context, snap *snapshot, e object.TreeEntry) (*lfs.Attributes, error) {
	r.large.mu.Lock()
	a := r.large.attributes[e.ID]
	r.large.mu.Unlock()
	if a != nil {
		return a, nil
	}
	b, err := r.smallFile(ctx, snap, e, lfs.MaxAttributes)
	if err != nil {
		return nil, err
	}
	a = lfs.ParseAttributes(b)
	r.large.mu.Lock()
	defer r.large.mu.Unlock()
	if r.large.attributes == nil || len(r.large.attributes) > maxKnownAttributes {
		r.large.attributes = make(map[object.ID]*lfs.Attributes)
	}
	r.large.attributes[e.ID] = a
	return a, nil
}

// smallFile reads a whole file of the repository; one above limit reads as empty.
func (r *Remote) smallFile(ctx context.Context, snap *snapshot, e object.TreeEntry, limit int64) ([]byte, error) {
	blob, err := r.store.OpenFile(store.Key{ID: e.ID})
	if errors.Is(err, store.ErrNotFound) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		blob, err = r.blob(ctx, snap, "", e)
	}
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	if blob.Size() > limit {
		return nil, nil
	}
	return io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
}

// pointer tells whether the blob id, which is here, is a pointer. ok is false if
// it is not here.
func (r *Remote) pointer(id object.ID) (p *lfs.Pointer, ok bool) {
	r.large.mu.Lock()
	p, ok = r.large.pointers[id]
	r.large.mu.Unlock()
	if ok {
		return p, true
	}
	blob, err := r.store.OpenFile(store.Key{ID: id})
	if err != nil {
		return nil, false
	}
	defer blob.Close()
	if blob.Size() < lfs.MaxPointer {
		b := make([]byte, blob.Size())
		if _, err := io.ReadFull(io.NewSectionReader(blob, 0, blob.Size()), b); err != nil {
			return nil, false
		}
		if parsed, err := lfs.ParsePointer(b); err == nil {
			p = &parsed
		}
	}
	r.large.mu.Lock()
	defer r.large.mu.Unlock()
	if r.large.pointers == nil || len(r.large.pointers) > maxKnownPointers {
		r.large.pointers = make(map[object.ID]*lfs.Pointer)
	}
	r.large.pointers[id] = p
	return p, true
}

// mayBePointer tells by mode and size whether a file can be a pointer.
func mayBePointer(e object.TreeEntry, size int64) bool {
	return (e.Mode == object.ModeFile || e.Mode == object.ModeExec) && size >= minPointer && size < lfs.MaxPointer
}

// sizeIn is the size of the file e of a folder, or -1 if it is not known.
func (r *Remote) sizeIn(rules *folderRules, e object.TreeEntry) int64 {
	n, ok := r.store.Size(store.Key{ID: e.ID})
	switch {
	case !ok:
		return -1
	case !mayBePointer(e, n):
		return n
	case !rules.known:
		return -1
	case !rules.isLFS(e.Name):
		return n
	}
	p, ok := r.pointer(e.ID)
	switch {
	case !ok:
		return -1
	case p == nil:
		return n
	}
	return p.Size
}

// localRules are the rules of dir as far as they can be known without a request.
func (r *Remote) localRules(snap *snapshot, dir string) *folderRules {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	rules, err := r.rules(ctx, snap, dir)
	if err != nil {
		return &folderRules{}
	}
	return rules
}

type lfsKey struct{ oid [sha256.Size]byte }

// largeFile opens the content that p stands for, after fetching it if need be.
func (r *Remote) largeFile(ctx context.Context, snap *snapshot, p *lfs.Pointer) (*store.Blob, error) {
	key := store.LFSKey(p.OID)
	for range 2 {
		b, err := r.store.OpenFile(key)
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return b, err
		}
		err = r.flights.do(ctx, lfsKey{p.OID}, false, func(ctx context.Context) error { return r.fetchLarge(ctx, snap, p) })
		if err != nil {
			return nil, fmt.Errorf("file of Git LFS: %w", err)
		}
	}
	return nil, fmt.Errorf("file of Git LFS: %w: the cache is too small for it", providers.ErrFull)
}

func (r *Remote) fetchLarge(ctx context.Context, snap *snapshot, p *lfs.Pointer) error {
	done, err := turn(ctx, r.downloads)
	if err != nil {
		return err
	}
	defer done()
	if limit := r.cacheLimit.Load(); limit > 0 && p.Size > limit {
		return fmt.Errorf("%w: it has %d bytes, and the cache may have %d. Allow a larger cache", providers.ErrFull, p.Size, limit)
	}
	w, err := r.store.NewLFS(p.Size)
	if err != nil {
		return err
	}
	defer r.store.Evict()
	if r.address().Transport == "file" {
		err = r.copyLarge(p, w)
	} else {
		var e lfs.Endpoint
		if e, err = r.lfsServer(ctx, snap); err == nil {
			err = lfs.Download(ctx, r.web, e, *p, w)
		}
	}
	if err != nil {
		w.Abort()
		return err
	}
	return w.Commit(store.LFSKey(p.OID).ID)
}

// copyLarge takes the file from the folder in which git-lfs keeps it, as git-lfs
// does for a remote of this computer.
func (r *Remote) copyLarge(p *lfs.Pointer, w io.Writer) error {
	oid := fmt.Sprintf("%x", p.OID)
	var f *os.File
	var err error
	for _, dir := range []string{"lfs", filepath.Join(".git", "lfs")} {
		if f, err = os.Open(filepath.Join(r.address().Path, dir, "objects", oid[:2], oid[2:4], oid)); err == nil {
			break
		}
	}
	if err != nil {
		return errors.New("it is not among the LFS files of that repository. Run \"git lfs fetch --all\" there")
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(f, p.Size+1)); err != nil {
		return err
	}
	if [sha256.Size]byte(sum.Sum(nil)) != p.OID {
		return fmt.Errorf("%w: its content is damaged", providers.ErrProtocol)
	}
	return nil
}

// lfsServer finds the LFS server: the one that .lfsconfig names, the one that the
// ssh server names, or the one beside the repository.
func (r *Remote) lfsServer(ctx context.Context, snap *snapshot) (lfs.Endpoint, error) {
	t, err := r.tree(ctx, snap.root, snap.id)
	if err != nil {
		return lfs.Endpoint{}, err
	}
	if e, ok := t.find(".lfsconfig"); ok && (e.Mode == object.ModeFile || e.Mode == object.ModeExec) {
		b, err := r.smallFile(ctx, snap, e, lfs.MaxConfig)
		if err != nil {
			return lfs.Endpoint{}, err
		}
		if s := lfs.ConfigURL(b); s != "" {
			u, err := url.Parse(s)
			if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
				return lfs.Endpoint{}, fmt.Errorf("%w: .lfsconfig names an LFS server that is not reached by https", providers.ErrUnsupported)
			}
			return lfs.Endpoint{URL: u}, nil
		}
	}
	if r.http != nil {
		return lfs.Endpoint{URL: lfs.EndpointOf(r.http.Base())}, nil
	}
	if r.ssh != nil {
		if e, ok := r.lfsAuthenticate(ctx); ok {
			return e, nil
		}
	}
	u := r.address()
	return lfs.Endpoint{URL: lfs.EndpointOf(&url.URL{Scheme: "https", Host: u.Host, Path: "/" + strings.TrimPrefix(u.Path, "/")})}, nil
}

// lfsAuthenticate asks the ssh server for the LFS server and a login to it
// (docs/api/authentication.md).
func (r *Remote) lfsAuthenticate(ctx context.Context) (lfs.Endpoint, bool) {
	now := r.clock()
	r.large.mu.Lock()
	known, until := r.large.auth, r.large.authUntil
	r.large.mu.Unlock()
	if known != nil && now.Before(until) {
		return *known, true
	}
	out, err := r.ssh.Run(ctx, "git-lfs-authenticate", r.address().Path, "download")
	if err != nil {
		r.log.Debug("no git-lfs-authenticate", "err", err)
		return lfs.Endpoint{}, false
	}
	var answer struct {
		Href      string            `json:"href"`
		Header    map[string]string `json:"header"`
		ExpiresIn int64             `json:"expires_in"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return lfs.Endpoint{}, false
	}
	u, err := url.Parse(answer.Href)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return lfs.Endpoint{}, false
	}
	e := lfs.Endpoint{URL: u, Header: answer.Header}
	// Ten seconds are for the request that it is used for.
	valid := time.Duration(min(max(answer.ExpiresIn-10, 0), 3600)) * time.Second
	r.large.mu.Lock()
	defer r.large.mu.Unlock()
	r.large.auth, r.large.authUntil = &e, now.Add(valid)
	return e, true
}
