// Package s3 shows a bucket of Amazon S3 or of a compatible store, or a prefix
// in it, as a remote: every object whose key could be a path is a file there.
//
// # What is shown
//
// A directory is what keys have in front of a slash; an object "dir/" keeps an
// empty one (its marker). Mkdir writes it, and Remove where a directory would
// vanish with its last file. Where both "a" and "a/b" exist, "a" is a directory
// and the object "a" is not shown. Keys with an element that is empty, "." or
// ".." and those that are no UTF-8 are not shown either.
//
// Times and modes are kept in the objects' metadata as rclone does: mtime is
// seconds since 1970 with up to nine decimals, mode is octal as of stat(2).
// Listings do not have them ([providers.Info].StatKnowsMore): there the time is
// that of the upload. A symbolic link is an object "name.rclonelink" with the
// target as its content, rclone's convention as well; so a file cannot have a
// name with that end.
//
// The version of an object is its ETag.
//
// # Conditions
//
// What changes an object carries the condition in the request, so that of two
// writers one wins. Stores that do not know such conditions ignore or refuse
// them; whether one does is tried once on an object of its own, before the
// first change that needs it (".moorage-probe-…", which is removed and never
// shown). For such a store the object is looked at right before it is changed:
// a change by someone else in the milliseconds between is lost.
//
// A condition that did not hold is no error if the object is by then exactly
// what was to be put: then an answer got lost, and not a race. What one name
// stands for can take several objects ("a", "a/", "a.rclonelink"), and no
// request covers more than one: two who make a file and a directory of one
// name at the same moment get the directory.
//
// # Security considerations
//
// The store is not trusted: an answer that is not what was asked for (another
// range, length or version, a listing that is none) is an error and never
// bytes or absence. Signatures go to the endpoint alone; redirects are not
// followed. Credentials and signed headers are in no error and no log.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
)

// Options configure a Remote. The zero value uses what the AWS tools of this
// user are set up with.
type Options struct {
	// Credentials looks up the drive's own; nil, or zero Credentials: the chain
	// of the AWS tools (environment, shared config, single sign-on, the machine's
	// role), and nothing at all if that has none: then requests are not signed.
	// It is asked again after the store refused what it gave.
	Credentials func(context.Context) (Credentials, error)

	Logger    *slog.Logger      // nil: silent
	Clock     func() time.Time  // nil: time.Now
	Transport http.RoundTripper // nil: one of its own, with time-outs
	Network   providers.Network // its proxy is not for a given Transport
	PageSize  int               // objects in a page of a listing; 0: 1000, which is the most
}

// Remote is an open bucket. It is safe for concurrent use.
type Remote struct {
	o        Options
	bucket   string
	prefix   string // of all keys; "" or with a slash at its end
	endpoint string // "" for Amazon's own
	profile  string // of the AWS tools; "" for the usual one
	limits   limits
	dirs     *dirCache
	aheads   aheads
	uploads  chan struct{} // one token per part under way
	probes   [numConds]probe

	base context.Context // done when the Remote is closed
	stop context.CancelFunc

	connecting chan struct{} // capacity 1: held while a connection is made

	mu     sync.Mutex
	region string      // as the URL says, or as was found out; "" if not known
	net    *network    // nil: no call came yet
	conn   *connection // nil: to be made
	closed bool
	calls  sync.WaitGroup
}

var (
	_ providers.Provider    = (*Remote)(nil)
	_ providers.EntryOpener = (*Remote)(nil)
	_ providers.Writer      = (*Remote)(nil)
	_ providers.Mover       = (*Remote)(nil)
	_ providers.Symlinker   = (*Remote)(nil)
	_ providers.Uploader    = (*Remote)(nil)
	_ providers.Walker      = (*Remote)(nil)
	_ providers.Waker       = (*Remote)(nil)
)

const (
	maxParallel = 32      // calls at a time
	maxUploads  = 16      // parts under way
	maxKey      = 1024    // bytes of a key
	preferred   = 8 << 20 // bytes to read at once
)

// limits are the sizes in bytes at which requests change their kind.
type limits struct {
	single   int64 // the largest file put in one request
	part     int64 // of an upload
	maxParts int64
	copy     int64 // the largest object copied in one request
	copyPart int64
}

// Amazon's are 5 GiB for one request, 5 MiB to 5 GiB for a part, 10,000 parts.
func defaultLimits() limits {
	return limits{single: 8 << 20, part: 8 << 20, maxParts: 10_000, copy: 5 << 30, copyPart: 512 << 20}
}

// Open makes a Remote of the bucket that u names. It does no I/O but reading
// this user's AWS configuration later: what is wrong shows at the first call.
func Open(u providers.URL, o Options) (*Remote, error) {
	if u.Kind != providers.KindS3 {
		return nil, fmt.Errorf("open bucket: a URL of kind %q", u.Kind)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("open bucket: %w: the bucket is missing, as in s3://bucket/folder", providers.ErrUnsupported)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.PageSize <= 0 || o.PageSize > 1000 {
		o.PageSize = 1000
	}
	r := &Remote{
		o: o, bucket: u.Host, endpoint: u.Param("endpoint"), region: u.Param("region"), profile: u.Param("profile"),
		limits: defaultLimits(), dirs: newDirCache(o.Clock), uploads: make(chan struct{}, maxUploads),
		connecting: make(chan struct{}, 1), aheads: aheads{m: map[listing]*ahead{}},
	}
	if u.Path != "" {
		r.prefix = u.Path + "/"
	}
	r.base, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// Info tells that versions are strong, and that listings lack times and modes.
func (r *Remote) Info() providers.Info {
	return providers.Info{
		Kind: providers.KindS3, Writable: true, StrongVersion: true, StatKnowsMore: true,
		TimePrecision: time.Nanosecond, PreferredReadSize: preferred, MaxParallel: maxParallel,
	}
}

// Close ends what is under way and lets go of all connections.
func (r *Remote) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.calls.Wait()
	if r.net != nil {
		r.net.close()
	}
	return nil
}

// Woke closes the connections that nobody uses.
func (r *Remote) Woke() {
	r.mu.Lock()
	n := r.net
	r.mu.Unlock()
	if n != nil {
		n.close()
	}
}

// call is one call of a method: its context, and words for its errors.
type call struct {
	context.Context
	r      *Remote
	op     string
	path   string
	cancel context.CancelFunc
}

// done ends the call.
func (c *call) done() {
	c.cancel()
	c.r.calls.Done()
}

// begin starts a call, which the caller ends with done. The call's context ends
// with ctx and with the Remote.
func (r *Remote) begin(ctx context.Context, op, path string) (*call, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.checkPath(path); err != nil {
		return nil, fmt.Errorf("%s %q: %w", op, path, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fmt.Errorf("%s: %w", op, providers.ErrClosed)
	}
	r.calls.Add(1)
	ctx, cancel := r.with(ctx)
	return &call{Context: ctx, r: r, op: op, path: path, cancel: cancel}, nil
}

// with is ctx that ends with the Remote, too.
func (r *Remote) with(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.base, cancel)
	return ctx, func() { stop(); cancel() }
}

// fail gives err the words of the call.
func (c *call) fail(err error) error {
	if err == nil {
		return nil
	}
	switch {
	case c.Err() == nil, errors.Is(err, errSource):
	case c.r.base.Err() != nil:
		err = providers.ErrClosed // what came of it says nothing more
	default:
		err = c.Err()
	}
	return fmt.Errorf("%s %q: %w", c.op, c.path, err)
}

// checkPath refuses what is no path of this remote.
func (r *Remote) checkPath(p string) error {
	switch {
	case p == "":
		return nil
	case p == "." || !fs.ValidPath(p):
		return fs.ErrInvalid
	case len(r.prefix)+len(p)+len(linkSuffix) > maxKey:
		return fmt.Errorf("%w: the path is longer than the store takes", fs.ErrInvalid)
	}
	return nil
}

// Forms of keys.
const (
	linkSuffix  = ".rclonelink"
	probePrefix = ".moorage-probe-" // of objects in the root that are nobody's
)

// fileKey is the key of a file at path.
func (r *Remote) fileKey(path string) string { return r.prefix + path }

// linkKey is the key of a symbolic link at path.
func (r *Remote) linkKey(path string) string { return r.prefix + path + linkSuffix }

// dirKey is what the keys of all below path begin with, and the key of the
// directory's marker.
func (r *Remote) dirKey(path string) string {
	if path == "" {
		return r.prefix
	}
	return r.prefix + path + "/"
}

// isLinkName reports whether name is that of a link's object.
func isLinkName(name string) bool {
	return strings.HasSuffix(name, linkSuffix) && len(name) > len(linkSuffix)
}

// split parts a path into its directory and its last element.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// dirCache remembers for a moment which directories exist.
type dirCache struct {
	clock func() time.Time

	mu    sync.Mutex
	until map[string]time.Time
}

const (
	dirTime = 30 * time.Second
	maxDirs = 10_000
)

func newDirCache(clock func() time.Time) *dirCache {
	return &dirCache{clock: clock, until: map[string]time.Time{}}
}

// exists reports whether the directory at path is known to exist.
func (d *dirCache) exists(path string) bool {
	if path == "" {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock().Before(d.until[path])
}

func (d *dirCache) add(path string) {
	if path == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.until) >= maxDirs {
		clear(d.until)
	}
	d.until[path] = d.clock().Add(dirTime)
}

func (d *dirCache) drop(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.until, path)
}
