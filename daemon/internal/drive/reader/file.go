package reader

import "context"

// Controller fetches from one remote. Its methods may be called concurrently.
type Controller struct {
	o Options
}

// New returns a Controller; Close it.
func New(o Options) *Controller { return &Controller{o: o} }

// File is one version of a file, of which store keeps what was fetched. There
// is one File per store at a time. Close it before the store.
func (c *Controller) File(store Store, size int64, fetch Fetch) *File {
	return &File{c: c, store: store, size: size, fetch: fetch}
}

// Stats tells what the Controller did and learned.
func (c *Controller) Stats() Stats { return Stats{} }

// Close closes all files and waits for all requests to end.
func (c *Controller) Close() {}

// File is one version of one file. Its methods may be called concurrently.
type File struct {
	c     *Controller
	store Store
	size  int64
	fetch Fetch
}

// ReadAt reads like [io.ReaderAt]. It returns when all bytes are there, or with
// ctx's error; what was begun to be fetched goes on then and gets into the
// store. Errors of the remote are wrapped and come after retries.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) { return 0, ErrClosed }

// Prefetch fetches n bytes at off when nothing else is to do. It does not wait.
func (f *File) Prefetch(off, n int64) {}

// Wait returns when what Prefetch asked for is in the store, with ctx's error,
// or with the error that ended it.
func (f *File) Wait(ctx context.Context) error { return nil }

// Stats tells what was done for this File. Bandwidth, RTT, Parallel and Memory
// are not set.
func (f *File) Stats() Stats { return Stats{} }

// Close gives up what is under way, and returns when the store is not used any
// more. Readers that wait get ErrClosed.
func (f *File) Close() {}
