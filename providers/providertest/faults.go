package providertest

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/moorage/moorage/providers"
)

// Op names a call of a provider.
type Op string

// The calls that [Faults] can disturb.
const (
	OpStat  Op = "stat"
	OpList  Op = "list"
	OpOpen  Op = "open"
	OpRead  Op = "read" // ReadRange and the reads of its body
	OpSizes Op = "sizes"
	OpProbe Op = "probe"
)

// Faults is a provider that goes wrong on demand. It passes calls to another
// provider, hides that objects lie on this computer, and counts. Where the
// inner provider is no Sizer or Prober, those calls give ErrUnsupported. All
// methods may be called concurrently.
type Faults struct {
	inner providers.Provider

	mu      sync.Mutex
	errs    map[Op]error
	hang    map[Op]chan struct{}
	latency time.Duration
	short   int64
	edit    func(dir string, es []providers.Entry) []providers.Entry
	calls   map[Op]int
}

var (
	_ providers.Provider = (*Faults)(nil)
	_ providers.Sizer    = (*Faults)(nil)
	_ providers.Prober   = (*Faults)(nil)
)

// NewFaults wraps inner, which Close closes.
func NewFaults(inner providers.Provider) *Faults {
	return &Faults{inner: inner, errs: map[Op]error{}, hang: map[Op]chan struct{}{}, calls: map[Op]int{}, short: -1}
}

var allOps = []Op{OpStat, OpList, OpOpen, OpRead, OpSizes, OpProbe}

func orAll(ops []Op) []Op {
	if len(ops) == 0 {
		return allOps
	}
	return ops
}

// Fail makes those calls (none named: all) fail with err; nil heals them.
func (f *Faults) Fail(err error, ops ...Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, op := range orAll(ops) {
		f.errs[op] = err
	}
}

// Hang makes those calls (none named: all) wait until their context ends or
// Release is called.
func (f *Faults) Hang(ops ...Op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, op := range orAll(ops) {
		if f.hang[op] == nil {
			f.hang[op] = make(chan struct{})
		}
	}
}

// Release lets hanging calls go on and later ones pass.
func (f *Faults) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for op, ch := range f.hang {
		close(ch)
		delete(f.hang, op)
	}
}

// Delay makes every call take d longer.
func (f *Faults) Delay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency = d
}

// Short makes bodies end after n bytes as if they were whole; -1 heals.
func (f *Faults) Short(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.short = n
}

// EditListing changes every page of a listing on its way.
func (f *Faults) EditListing(edit func(dir string, es []providers.Entry) []providers.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edit = edit
}

// Calls tells how often an operation was asked for.
func (f *Faults) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// pass does what is set for op.
func (f *Faults) pass(ctx context.Context, op Op) error {
	f.mu.Lock()
	f.calls[op]++
	err, hang, latency := f.errs[op], f.hang[op], f.latency
	f.mu.Unlock()
	if latency > 0 {
		t := time.NewTimer(latency)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// Info is the inner provider's.
func (f *Faults) Info() providers.Info { return f.inner.Info() }

// Stat passes on.
func (f *Faults) Stat(ctx context.Context, path string) (providers.Entry, error) {
	if err := f.pass(ctx, OpStat); err != nil {
		return providers.Entry{}, err
	}
	return f.inner.Stat(ctx, path)
}

// ReadDir passes on.
func (f *Faults) ReadDir(ctx context.Context, path, cursor string) (providers.Page, error) {
	if err := f.pass(ctx, OpList); err != nil {
		return providers.Page{}, err
	}
	p, err := f.inner.ReadDir(ctx, path, cursor)
	f.mu.Lock()
	edit := f.edit
	f.mu.Unlock()
	if edit != nil && err == nil {
		p.Entries = edit(path, p.Entries)
	}
	return p, err
}

// Open passes on.
func (f *Faults) Open(ctx context.Context, path string, v providers.Version) (providers.Object, error) {
	if err := f.pass(ctx, OpOpen); err != nil {
		return nil, err
	}
	o, err := f.inner.Open(ctx, path, v)
	if err != nil {
		return nil, err
	}
	return &faultyObject{Object: o, f: f}, nil
}

// Sizes passes on.
func (f *Faults) Sizes(ctx context.Context, dir string, entries []providers.Entry) error {
	if err := f.pass(ctx, OpSizes); err != nil {
		return err
	}
	if s, ok := f.inner.(providers.Sizer); ok {
		return s.Sizes(ctx, dir, entries)
	}
	return providers.ErrUnsupported
}

// Probe passes on.
func (f *Faults) Probe(ctx context.Context) (providers.Version, error) {
	if err := f.pass(ctx, OpProbe); err != nil {
		return "", err
	}
	if p, ok := f.inner.(providers.Prober); ok {
		return p.Probe(ctx)
	}
	return "", providers.ErrUnsupported
}

// Close closes the inner provider.
func (f *Faults) Close() error {
	f.Release()
	return f.inner.Close()
}

// faultyObject hides every method of the inner object but those of Object.
type faultyObject struct {
	providers.Object
	f *Faults
}

func (o *faultyObject) ReadRange(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if err := o.f.pass(ctx, OpRead); err != nil {
		return nil, err
	}
	r, err := o.Object.ReadRange(ctx, off, n)
	if err != nil {
		return nil, err
	}
	o.f.mu.Lock()
	short := o.f.short
	o.f.mu.Unlock()
	if short < 0 {
		return r, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(r, short), r}, nil
}
