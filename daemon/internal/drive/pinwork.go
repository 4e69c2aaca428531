package drive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/blocks"
	"github.com/moorage/moorage/daemon/internal/drive/nodes"
)

const (
	// pinParallel is how many pinned files are fetched at a time.
	pinParallel = 2
	// pinEvery is how often it is looked for what nobody told of.
	pinEvery = 5 * time.Minute
	// pinRetry is how long what failed, or did not fit, is left alone.
	pinRetry = time.Minute
	// pinPause is the least time from the end of one look to the next that nobody
	// asked for; after a look that took long it is pinShare times that.
	pinPause = 100 * time.Millisecond
	pinShare = 10
	// pinAgain is after how many looks what was found to be here is looked at again:
	// the folder belongs to the person.
	pinAgain = 12
	// pinSlice is how much of a file is asked for at once.
	pinSlice = 32 << 20
)

// errPinRoom means that a file does not fit beside what else is pinned.
var errPinRoom = errors.New("no room for what is pinned")

// keepPinned fetches what is pinned and not here, while the drive is open.
func (d *Drive) keepPinned() {
	ctx := context.WithValue(d.flights.base, backgroundKey{}, true)
	timer := time.NewTimer(pinEvery)
	defer timer.Stop()
	whole := map[uint64]string{}
	var before map[uint64]*pinned
	for looks := 0; ctx.Err() == nil; looks++ {
		wait, began := pinEvery, time.Now()
		if err := d.loadPins(); err != nil {
			d.o.Logger.Warn("what is pinned cannot be told", "err", err)
		}
		all := d.pins.all()
		if looks%pinAgain == 0 || !maps.Equal(all, before) { // what was pinned before may be gone
			clear(whole)
		}
		before = all
		looked := time.Duration(0)
		if len(all) > 0 {
			l := pinLook{d: d, whole: whole, seen: map[uint64]bool{}, full: map[*pinned]bool{}}
			l.look(ctx, all)
			looked = time.Since(began)
			l.fetchAll(ctx)
			switch l.settleAll(all); {
			case l.again:
				wait = d.o.RetryMax
			case l.fails:
				wait = pinRetry
			}
			d.health.wake()
		}
		timer.Reset(min(max(pinPause, looked*pinShare), wait))
		select {
		case <-timer.C:
		case <-d.pins.asked:
			continue
		case <-ctx.Done():
			return
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-d.pins.woken:
		case <-d.pins.asked:
		case <-ctx.Done():
			return
		}
	}
}

// pinLook is one look at all that is pinned.
type pinLook struct {
	d     *Drive
	whole map[uint64]string // versions that are here, by node

	seen map[uint64]bool // files
	todo []pinFile
	full map[*pinned]bool // of which something does not fit; guarded by mu of pins

	mu    sync.Mutex
	here  int64 // bytes of what is pinned, once each
	again bool  // something failed that may pass soon
	fails bool  // something failed otherwise
	news  bool  // something came to be here since the last look
}

// pinFile is a file of which something is missing.
type pinFile struct {
	id   uint64
	need int64
	of   []*pinned
}

// tally is what a look found of one pin.
type tally struct {
	here, total, files int64
	err                error
	away               bool
}

// look finds what is missing.
func (l *pinLook) look(ctx context.Context, all map[uint64]*pinned) {
	d := l.d
	order := slices.SortedFunc(maps.Values(all), func(a, b *pinned) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id))
	})
	index := map[uint64]int{}
	for _, p := range order {
		var t tally
		l.walk(ctx, p.id, p, &t, index, 0)
		if ctx.Err() != nil {
			return
		}
		l.fails = l.fails || t.err != nil
		d.pins.mu.Lock()
		p.here, p.total, p.files, p.err = t.here, t.total, t.files, t.err
		switch {
		case t.away:
			p.state = PinOffline
		case t.err != nil:
			p.state = PinFailed
		case t.here < t.total && p.state == PinNoRoom: // until it turns out that it fits by now
		case t.here < t.total:
			p.state = PinFetching
		case p.state != PinKept:
			p.state = PinFetching // until that is on stable storage
		}
		d.pins.mu.Unlock()
	}
	d.health.wake()
}

// walk finds the files of a pin, and what is missing of them.
func (l *pinLook) walk(ctx context.Context, id uint64, p *pinned, t *tally, index map[uint64]int, depth int) {
	d := l.d
	n, err := d.node(id)
	if err != nil || ctx.Err() != nil || depth > maxDepth || n.State&nodes.Gone != 0 {
		return // it is gone, and nothing of it is missing
	}
	if n.Kind != nodes.Dir {
		l.file(ctx, n, p, t, index)
		return
	}
	if n.State&nodes.Created == 0 && !d.listed(&n) && d.health.online() {
		_, err := d.listing(ctx, id, nil)
		if at := d.lists.get(id); at != nil && err == nil {
			err = at.wait(ctx, nil)
		}
		if err != nil {
			t.fails(d, err)
		}
		if n, err = d.node(id); err != nil {
			return
		}
		l.again = l.again || !d.listed(&n) // the remote took its time
	}
	if !n.Complete && n.State&nodes.Created == 0 {
		t.away = t.away || !d.health.online()
	}
	var kids []uint64
	if err := d.store.Children(id, 0, func(e nodes.Entry) bool {
		kids = append(kids, e.ID)
		return true
	}); err != nil {
		t.fails(d, err)
	}
	for _, kid := range kids {
		l.walk(ctx, kid, p, t, index, depth+1)
	}
}

func (t *tally) fails(d *Drive, err error) {
	if d.unavailable(err) && !d.health.online() {
		t.away = true
	} else if t.err == nil {
		t.err = err
	}
}

// file notes what is missing of a file or link.
func (l *pinLook) file(ctx context.Context, n nodes.Node, p *pinned, t *tally, index map[uint64]int) {
	d := l.d
	t.files++
	if n.Size < 0 {
		var err error
		if n, err = d.sized(ctx, n); err != nil {
			t.fails(d, err)
			return
		}
	}
	t.total += n.Size
	v, size := pinVersion(n)
	if l.whole[n.ID] != keyOf(&v).version {
		delete(l.whole, n.ID)
	}
	missing := int64(0)
	if size > 0 && l.whole[n.ID] != keyOf(&v).version {
		here, err := d.bytesHere(v, size)
		if err != nil {
			t.fails(d, err)
		}
		missing = size - here
	}
	t.here += n.Size - min(missing, n.Size)
	switch {
	case !l.seen[n.ID]:
		l.seen[n.ID] = true
		l.here += size - missing
		if missing == 0 {
			l.news = l.news || l.whole[n.ID] == ""
			l.whole[n.ID] = keyOf(&v).version
			return
		}
		index[n.ID] = len(l.todo)
		l.todo = append(l.todo, pinFile{n.ID, missing, []*pinned{p}})
	case missing > 0:
		f := &l.todo[index[n.ID]]
		f.of = append(f.of, p)
	}
}

// pinVersion is what has to be here of the remote so that n can be read: so many
// bytes of a version.
func pinVersion(n nodes.Node) (v nodes.Node, size int64) {
	switch {
	case n.State&nodes.Staged != 0:
		return baseOf(n), n.Base
	case n.State&nodes.Created != 0:
		return n, 0
	}
	return n, n.Size
}

// bytesHere is how many of the first bytes of a version the cache has.
func (d *Drive) bytesHere(n nodes.Node, size int64) (here int64, err error) {
	f, err := d.cache.File(d.blockKey(keyOf(&n)), n.Size)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for _, r := range f.Have(0, size) {
		here += min(r.Off+r.N, size) - r.Off
	}
	return here, nil
}

// fetchAll fetches what is missing, a few files at a time.
func (l *pinLook) fetchAll(ctx context.Context) {
	slots := make(chan struct{}, pinParallel)
	var wg sync.WaitGroup
	for i := range l.todo {
		f := &l.todo[i]
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			l.settle(f, l.fetch(ctx, f))
		})
	}
	wg.Wait()
}

// settleAll tells what is kept: what is here, and stays so if the power fails.
func (l *pinLook) settleAll(all map[uint64]*pinned) {
	d := l.d
	if l.news {
		if err := d.cache.Flush(); err != nil {
			l.again = true
			return
		}
	}
	d.pins.mu.Lock()
	defer d.pins.mu.Unlock()
	for _, p := range all {
		if p.state == PinNoRoom && !l.full[p] {
			p.state = PinFetching
		}
		if p.state == PinFetching && p.here >= p.total {
			p.state = PinKept
		}
	}
}

// settle notes what became of a file in all pins that it is in.
func (l *pinLook) settle(f *pinFile, err error) {
	d := l.d
	if err == nil || d.flights.base.Err() != nil {
		return
	}
	if !errors.Is(err, errPinRoom) {
		d.o.Logger.Info("a pinned file cannot be fetched", "err", err)
	}
	passes := d.unavailable(err) && d.health.online()
	l.mu.Lock()
	l.again = l.again || passes
	l.fails = true
	l.mu.Unlock()
	d.pins.mu.Lock()
	defer d.pins.mu.Unlock()
	for _, p := range f.of {
		switch {
		case errors.Is(err, errPinRoom), errors.Is(err, blocks.ErrFull):
			p.state, l.full[p] = PinNoRoom, true
		case p.state == PinNoRoom:
		case passes:
		case d.unavailable(err):
			p.state = PinOffline
		default:
			p.state, p.err = PinFailed, err
		}
	}
}

// fetch fetches what is missing of a file.
func (l *pinLook) fetch(ctx context.Context, f *pinFile) error {
	d := l.d
	if !d.isPinned(f.id) {
		return nil // not any more
	}
	n, err := d.node(f.id)
	if err != nil {
		return nil
	}
	n, size := pinVersion(n)
	if size == 0 {
		return nil
	}
	l.mu.Lock()
	room := d.cache.Room()
	fits := l.here+f.need <= room-room/32
	if fits {
		l.here += f.need
	}
	l.mu.Unlock()
	if !fits {
		return errPinRoom
	}
	v, err := d.version(n)
	if err != nil {
		return err
	}
	defer d.versions.release(v)
	err = v.keep(ctx, size, func(here int64) bool {
		gain := here - (size - f.need)
		f.need -= gain
		d.pins.mu.Lock()
		for _, p := range f.of {
			p.here += gain
		}
		d.pins.mu.Unlock()
		d.health.wake()
		return d.isPinned(f.id)
	})
	if changed(err) {
		d.versions.drop(v)
		if serr := d.stat(ctx, n.Parent, n.Name); serr == nil {
			d.pins.wake() // it is another version by now
			return nil
		}
	}
	if err == nil {
		l.mu.Lock()
		l.news = true
		l.whole[f.id] = keyOf(&n).version
		l.mu.Unlock()
	}
	return err
}

// keep fetches what is missing of the first size bytes of a version, and tells now
// and then how many are here; it ends when that returns false.
func (v *version) keep(ctx context.Context, size int64, told func(here int64) bool) error {
	for off := int64(0); off < size; off += pinSlice {
		n := min(pinSlice, size-off)
		if !v.has(off, n) {
			file, o, err := v.source(ctx, off, n)
			switch {
			case err != nil:
				return err
			case file == nil:
				err = v.copyIn(o, off, n)
			default:
				file.Prefetch(off, n)
				err = file.Wait(ctx)
			}
			if err != nil {
				return fmt.Errorf("fetch %q: %w", v.n.Name, err)
			}
			if !v.has(off, n) {
				return fmt.Errorf("keep %q: %w", v.n.Name, blocks.ErrFull)
			}
		}
		here := int64(0)
		for _, r := range v.store.Have(0, size) {
			here += min(r.Off+r.N, size) - r.Off
		}
		if !told(here) {
			return nil
		}
	}
	return nil
}

// copyIn copies bytes of an object that is on this computer, where it may go at any
// time, into the cache.
func (v *version) copyIn(o io.ReaderAt, off, n int64) error {
	b := make([]byte, min(n, 1<<20))
	for end := off + n; off < end; off += int64(len(b)) {
		b = b[:min(int64(len(b)), end-off)]
		if m, err := o.ReadAt(b, off); m < len(b) {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		if err := v.store.WriteAt(b, off); err != nil {
			return err
		}
	}
	return nil
}
