// Package mounts takes drives through their lives: it opens their file systems,
// serves them on loopback, mounts them with the system's NFS client, watches
// the mounts, and takes them up again after the service was killed.
package mounts

import (
	"context"
	"log/slog"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/nfs"
)

// Location is what a drive URL says.
type Location struct {
	URL    string // canonical, without secret
	Kind   string // "git", "folder", "mem", …
	Name   string // a good name for the drive
	Secret string // the password that was in the URL, if any

	History  bool   // the remote has revisions, of which one is shown
	Revision string // which one; "" for the remote's default
	Remote   string // the URL without it: drives that have the same are of one remote; "" where that is not sure
}

// Request is what a drive is to be opened with.
type Request struct {
	URL        string // canonical
	Dir        string // where it will be mounted; "" if it will only be served
	StateDir   string // exists; for what must survive
	CacheDir   string // need not exist; for what can be fetched again
	CacheLimit int64  // bytes of it
	ReadOnly   bool
	Paused     bool   // nothing is published before Source.Pause(false)
	UID, GID   uint32 // owner of what has no owner of its own
	Private    bool   // nobody but UID will get in
	Logger     *slog.Logger

	// Secret reads the drive's secret from the keyring; secrets.ErrNotFound if
	// there is none.
	Secret func(ctx context.Context) (string, error)
}

// Opener knows the kinds of drives. Errors are explained by package problem.
type Opener interface {
	// Parse understands what a person typed or pasted. It does no I/O. A
	// Location that comes with an error can be shown, but not opened.
	Parse(raw string) (Location, error)
	// At is Parse of the URL of another revision of the remote that url, which is
	// canonical, shows. The error matches providers.ErrURL if that is no name of one, or if
	// url does not tell.
	At(url, revision string) (Location, error)
	// Revisions tells what revisions there are of the remote of a drive that is not open,
	// also where the one that the drive shows is not there any more. It leaves nothing
	// behind but in the folders of r, and returns when ctx is done.
	Revisions(ctx context.Context, r Request, q api.RevisionQuery) (api.Revisions, error)
	// Open signs in and opens the drive. It returns when ctx is done.
	Open(ctx context.Context, r Request) (*Source, error)
	// Unpublished tells what a drive with this StateDir, which is not open,
	// keeps for its remote, and lists at most so many uploads.
	Unpublished(stateDir string, most int) (Unpublished, error)
}

// Source is an open drive.
type Source struct {
	FS       nfs.FileSystem
	Close    func() error // called once, when no call is under way; nil: nothing to close
	ReadOnly bool         // the file system cannot be changed
	Volatile bool         // its content ends with the process

	// Health tells how the remote behind FS is; nil if there is none.
	// Changes gets a value when Health's answer has changed.
	Health  func() Health
	Changes <-chan struct{}

	// Ledger lists at most limit changes, what waits first. Publish has what was
	// changed published now and does not wait; Sync also waits until it is on the
	// remote, or ctx is done. Its error tells what could not be, which goes on
	// waiting. All are nil where changes need no publishing. Ledger is not called
	// during Close or after it; the others may be, and do nothing or fail.
	Ledger  func(limit int) []Upload
	Publish func()
	Sync    func(ctx context.Context) error

	// Pause has nothing published, or has it go on. It does not wait. While it is
	// paused, Sync fails with ErrPaused if something waits for that. nil: as Sync.
	Pause func(on bool)

	// SetCacheLimit changes Request.CacheLimit; nil where nothing is kept. It does not wait.
	SetCacheLimit func(bytes int64)

	Pinner Pinner // nil where there is nothing to be fetched

	Reviser Reviser // nil where there is no history

	// NetworkChanged tells that this computer's addresses are others now; nil where
	// nothing is connected. It does not wait.
	NetworkChanged func()
}

// Health is how the remote of a drive is.
type Health struct {
	Online     bool
	Err        error // why it is not online, or the last trouble
	PinRoom    bool  // what is pinned does not fit on this computer
	Disk       error // why this computer's disk takes no changes; nil: it does
	Revision   string
	Shown      *api.Shown // nil where there is no history
	CacheUsed  int64      // bytes
	CacheLimit int64      // bytes; 0: none
	Pending    api.Pending
	Traffic    api.Traffic
}

func (s *Source) close() error {
	if s.Close == nil {
		return nil
	}
	return s.Close()
}

func (s *Source) health() Health {
	if s.Health == nil {
		return Health{Online: true}
	}
	return s.Health()
}

// listTimeout bounds the first listing of a drive.
const listTimeout = 45 * time.Second

// List makes sure that the drive can be used: its root can be read by its owner.
// A remote that is slow has 45 seconds. When the file system only says that
// something failed, the error is the remote's own.
func (s *Source) List(ctx context.Context, uid, gid uint32) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	c := &nfs.Caller{UID: uid, GID: gid}
	root := s.FS.Root()
	_, err := s.FS.GetAttr(ctx, c, root)
	if err == nil {
		_, err = s.FS.ReadDir(ctx, c, root, 0, false, func(nfs.DirEntry) bool { return false })
	}
	if err == nil {
		return nil
	}
	if h := s.health(); h.Err != nil {
		return h.Err
	}
	return err
}
