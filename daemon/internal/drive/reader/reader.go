// Package reader turns reads of one version of a remote file into as few
// ranged requests as keep the link busy, and puts what comes into a store.
//
// A [Controller] serves one remote: it learns the remote's delay and bandwidth
// and bounds the requests to it. A [File] is one version of one file. Reads of
// a File may come in any number at once and out of order, as NFS clients send
// them: what matters is which bytes are read, not through which handle.
//
// Bytes that nobody fetched before are asked for in whole units of 64 KiB and
// no more, until reads look sequential; then a window runs ahead of the reader.
// No byte is asked for while a request for it is under way, and a reader gets
// its bytes as they come in, before the request is complete and before they
// are in the store. Bytes get into the store only if the body that brought
// them had the length that was asked for, or broke off with an error.
package reader

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/blocks"
)

var _ Store = (*blocks.File)(nil)

// Unit is what a [Store] keeps whole, in bytes. Requests begin and end at
// multiples of it, or at the end of the file.
const Unit = blocks.Unit

// What goes wrong here and not at the remote.
var (
	ErrClosed   = fs.ErrClosed                                                // the File or its Controller was closed
	ErrLength   = errors.New("the remote sent another length than asked for") // every time
	ErrInactive = errors.New("the remote sends nothing")                      // for Options.Inactivity, every time
)

// Range is a part of a file: N bytes at Off.
type Range = blocks.Range

// Store is what fetched bytes of one version are kept in: a [blocks.File]. All
// methods may be called concurrently, and are not after [File.Close] returned.
type Store interface {
	// Have gives the parts of n bytes at off that are there, in order, disjoint,
	// rounded inwards or outwards to units. It may be out of date at once.
	Have(off, n int64) []Range
	// ReadAt fills p from what is there. Whatever error it gives, the bytes are
	// fetched anew.
	ReadAt(p []byte, off int64) (int, error)
	// WriteAt keeps p, whole units or units up to the end of the file; p is not
	// used after it returned. If it fails, readers are served from memory.
	WriteAt(p []byte, off int64) error
}

// Fetch asks the remote for n bytes at off of exactly one version, or fails. It
// and the body's Read return soon after ctx ended. It is called concurrently.
type Fetch func(ctx context.Context, off, n int64) (io.ReadCloser, error)

// Options are the settings of a [Controller]. The zero value works.
type Options struct {
	Budget     *Budget       // memory for bytes on their way; nil: DefaultBudget bytes for this Controller alone
	Parallel   int           // requests at a time, at most; 0: 16
	Preferred  int64         // bytes that the remote does well to be asked for at once; 0: it does not matter
	Inactivity time.Duration // a request that brings next to nothing for so long is given up; 0: 15 s
	Attempts   int           // requests for the same bytes before a Retryable error is passed on; 0: 4

	// Retryable says that another request may bring what failed. Bodies that
	// break off or have the wrong length, and inactivity, always are. nil: nothing
	// else is.
	Retryable func(error) bool
	// RateLimited says that the remote asks for fewer requests, and for none
	// within after. nil: no remote does.
	RateLimited func(error) (after time.Duration, ok bool)
	// Changed says that the remote no longer has the version that a File is of:
	// nothing is fetched or stored any more. nil: no error does.
	Changed func(error) bool

	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: nothing is logged
}
