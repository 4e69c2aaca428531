// Package git shows a revision of a git repository as a read-only remote: any
// repository over https, http, ssh, git:// or on this computer, at a branch,
// tag, commit or the default branch. It speaks git's protocol itself.
//
// # What is fetched when
//
// Opening asks for the revision and begins to fetch the commit and all its
// trees, without history and without files; listings are answered while they
// arrive. Files are fetched when they are opened, those of a folder together
// when their sizes are asked for. The history is asked for when somebody looks at it,
// some generations of commits at a time. Servers that cannot leave files out send
// the whole revision, in the background. Everything is kept in a folder; what
// is there lists and reads while the remote is away, also after a restart.
//
// # What is shown
//
// Modes are those of git: files are 0644 or 0755, folders 0755. Times are those
// of the commit that was first seen with the object as it is, since there is no
// history to look further. Submodules are empty folders. Names are given as they are in
// the tree, save that ".", ".." and everything that some system takes for
// ".git" are left out: git refuses to check them out, too. Files of Git LFS are
// shown with their content, where the .gitattributes of the revision say
// filter=lfs and the file has the form of a pointer, as a checkout with git-lfs
// would have them; while the LFS server is away, reading them is an error.
//
// # Security considerations
//
// Servers are not trusted: everything they send is bounded, every object is
// named by the hash of what arrived. A login goes to the host it is for, never
// along a redirect. Host keys of ssh must be known. No hook, filter or other
// program of a repository runs.
package git

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/git/internal/login"
	"github.com/moorage/moorage/providers/git/internal/object"
	"github.com/moorage/moorage/providers/git/internal/pack"
	"github.com/moorage/moorage/providers/git/internal/store"
	"github.com/moorage/moorage/providers/git/internal/transport"
	"github.com/moorage/moorage/providers/git/internal/wire"
)

// CredentialRequest says what a login is for.
type CredentialRequest = login.Request

// Credential is a user name and a password or token. An empty user name is fine
// with a token.
type Credential = login.Credential

// Options configure a Remote. Only CacheDir must be set.
type Options struct {
	CacheDir   string           // folder for what is fetched, made with 0700; of this remote alone
	CacheLimit int64            // bytes of files to keep there; 0: no limit. Trees are always kept
	Logger     *slog.Logger     // nil: silent
	Clock      func() time.Time // nil: time.Now
	// Credential looks a login up in the keyring, for http and https; nil: none.
	// It is asked before git's credential helpers are. An empty password means
	// that there is none. An error is that of the whole, if the helpers have no login.
	Credential func(context.Context, CredentialRequest) (Credential, error)
	HTTP       *http.Client      // nil: one with time-outs of its own
	Network    providers.Network // its proxy is not for a given HTTP

	timeouts transport.Timeouts // zero: the usual ones
}

// Remote is an open repository. It is safe for concurrent use.
type Remote struct {
	log        *slog.Logger
	clock      func() time.Time
	store      *store.Store
	wire       wire.Transport
	web        *transport.Web  // for http, and for large files
	http       *transport.HTTP // nil unless reached over http
	ssh        *transport.SSH  // nil unless reached over ssh
	flights    *flights
	requests   chan struct{} // one token per fetch in progress
	downloads  chan struct{} // the same for large files
	limits     pack.Limits
	cacheLimit atomic.Int64
	trees      treeCache
	files      walk // of opened files
	folders    walk // of folders whose sizes were asked for
	large      largeFiles
	history    commitLog
	saving     sync.Mutex // held while the state is written

	mu     sync.Mutex
	url    providers.URL // of what is shown
	client *wire.Client
	snap   *snapshot   // what is shown; nil while Open is at it
	whole  []object.ID // revisions of which all trees are here, the last one last
	sized  object.ID   // the last revision of which all sizes were asked for
	noTree bool        // the server refused a filter on trees
	filter int         // what the server lets us leave out when files are fetched
	closed bool
}

const (
	maxRequests  = 8 // fetches at a time; sshd allows ten sessions
	maxDownloads = 4 // large files at a time, beside those
	maxParallel  = 4 // what we ask a cache to ask for at a time
)

// Open opens the repository that u names. What is in the cache from an earlier
// time is enough; then a remote that does not answer within moments is waited
// for by [Remote.Probe] only. Otherwise Open returns when the root folder of
// the revision is known. Errors: ErrOffline, ErrAuth, ErrHostKey, ErrNoRemote,
// ErrNoRevision, ErrNotExist and ErrNotDir for the subfolder, ErrUnsupported,
// *RateLimitedError.
func Open(ctx context.Context, u providers.URL, o Options) (*Remote, error) {
	r, err := prepare(u, o)
	if err != nil {
		return nil, err
	}
	if err := r.begin(ctx); err != nil {
		r.Close()
		return nil, fmt.Errorf("open git repository: %w", err)
	}
	return r, nil
}

// prepare makes a Remote that shows nothing yet. It asks no server.
func prepare(u providers.URL, o Options) (*Remote, error) {
	if u.Kind != providers.KindGit {
		return nil, fmt.Errorf("open git repository: a URL of kind %q", u.Kind)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.timeouts == (transport.Timeouts{}) {
		o.timeouts = transport.DefaultTimeouts()
	}
	r := &Remote{
		url: u, log: o.Logger, clock: o.Clock,
		flights: newFlights(), requests: make(chan struct{}, maxRequests), downloads: make(chan struct{}, maxDownloads), limits: pack.DefaultLimits(),
	}
	r.cacheLimit.Store(o.CacheLimit)
	r.trees.init()
	if err := r.connectTransport(o); err != nil {
		return nil, err
	}
	var err error
	if r.store, err = store.Open(o.CacheDir, store.Options{Limit: o.CacheLimit, Clock: o.Clock, Logger: o.Logger}); err != nil {
		r.wire.Close()
		r.web.Close()
		return nil, fmt.Errorf("open git repository: %w", err)
	}
	return r, nil
}

// connectTransport prepares to reach the server. It does no I/O.
func (r *Remote) connectTransport(o Options) error {
	u := r.url
	for _, s := range []string{u.Host, u.User, u.Path, u.Revision, u.Subdir} {
		if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return fmt.Errorf("open git repository: %w: a control character", providers.ErrURL)
		}
	}
	if strings.HasPrefix(u.Host, "-") || strings.HasPrefix(u.User, "-") || strings.HasPrefix(u.Path, "-") || (u.Host == "" && u.Transport != "file") {
		return fmt.Errorf("open git repository: %w: an address that begins with a dash, or without a host", providers.ErrURL)
	}
	gitProgram, err := exec.LookPath("git")
	if err != nil {
		gitProgram = ""
	}
	base := &url.URL{Scheme: u.Transport, Host: hostPort(u), Path: u.Path}
	web := base
	if u.Transport != "http" && u.Transport != "https" {
		// Large files of a repository that is reached otherwise.
		web = &url.URL{Scheme: "https", Host: u.Host, Path: "/" + strings.TrimPrefix(u.Path, "/")}
	}
	l := transport.Login{Helpers: login.Helpers{Git: gitProgram}, Keyring: o.Credential}
	r.web = transport.NewWeb(o.HTTP, web, u.User, l, o.timeouts, o.Network)
	switch u.Transport {
	case "http", "https":
		r.http = transport.NewHTTP(r.web, base)
		r.wire = r.http
	case "git":
		r.wire = transport.NewGit(u.Host, u.Port, u.Path, o.timeouts, o.Network)
	case "file":
		r.wire = transport.NewFile(gitProgram, u.Path, o.timeouts)
	case "ssh":
		r.ssh = transport.NewSSH(u.Host, u.Port, u.User, u.Path, o.timeouts, o.Network)
		r.wire = r.ssh
	default:
		return fmt.Errorf("open git repository: %w: transport %q", providers.ErrUnsupported, u.Transport)
	}
	return nil
}

func hostPort(u providers.URL) string {
	h := u.Host
	if strings.Contains(h, ":") {
		h = "[" + h + "]"
	}
	if u.Port != 0 {
		h += ":" + strconv.Itoa(u.Port)
	}
	return h
}

// Info says what kind of remote this is.
func (r *Remote) Info() providers.Info {
	return providers.Info{
		Kind: providers.KindGit, StrongVersion: true, TreeVersion: true,
		TimePrecision: time.Second, PreferredReadSize: 1 << 20, MaxParallel: maxParallel,
	}
}

// SetCacheLimit changes Options.CacheLimit. What is too much is removed.
func (r *Remote) SetCacheLimit(bytes int64) {
	r.cacheLimit.Store(bytes)
	r.store.SetLimit(bytes)
}

// CacheUsed is how many bytes of files the cache has, which CacheLimit bounds. It
// does no I/O.
func (r *Remote) CacheUsed() int64 { return r.store.Used() }

// Woke closes the connections that nobody uses.
func (r *Remote) Woke() { r.web.DropIdle() }

// Close ends all requests and everything that goes on in the background.
// Objects that are open stay readable.
func (r *Remote) Close() error {
	r.mu.Lock()
	again := r.closed
	r.closed = true
	r.mu.Unlock()
	if again {
		return nil
	}
	err := errors.Join(r.wire.Close(), r.web.Close())
	r.flights.close()
	return errors.Join(err, r.store.Close())
}

func (r *Remote) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return providers.ErrClosed
	}
	return nil
}

// connect returns the client, after one request if it is the first.
func (r *Remote) connect(ctx context.Context) (*wire.Client, error) {
	r.mu.Lock()
	c := r.client
	r.mu.Unlock()
	if c != nil {
		return c, nil
	}
	err := r.flights.do(ctx, "connect", false, func(ctx context.Context) error {
		c, err := wire.Connect(ctx, r.wire)
		if err != nil {
			return err
		}
		r.log.Debug("connected", "version", c.Version(), "filter", c.CanFilter(), "sizes", c.CanSize(), "format", c.Format())
		r.mu.Lock()
		defer r.mu.Unlock()
		r.client = c
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.client, nil
}

// turn waits for a free place among slots.
func turn(ctx context.Context, slots chan struct{}) (done func(), err error) {
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fetch sends one fetch request; what arrives is in the store.
func (r *Remote) fetch(ctx context.Context, q wire.FetchRequest, header func(int, object.Type, int64) error) error {
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	done, err := turn(ctx, r.requests)
	if err != nil {
		return err
	}
	defer done()
	received := r.store.Receive()
	defer received()
	return c.Fetch(ctx, q, r.limits, r.store, header)
}

var (
	_ providers.Provider = (*Remote)(nil)
	_ providers.Sizer    = (*Remote)(nil)
	_ providers.Prober   = (*Remote)(nil)
	_ providers.Waker    = (*Remote)(nil)
	_ providers.Reviser  = (*Remote)(nil)
)
