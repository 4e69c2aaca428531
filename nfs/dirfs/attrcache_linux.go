package dirfs

import (
	"encoding/binary"
	"maps"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// watches has the kernel report what changes in directories whose entries'
// attributes are remembered (inotify(7)). A change is reported before the call
// that makes it returns, so that who looks at the reports first has seen every
// change that was made before.
type watches struct {
	mu    sync.Mutex // also held while the queue of reports is read, which does not wait
	fd    int        // 0: not opened yet; -1: there is none
	gen   uint64
	byDir map[nfs.ID]*watch
	byWD  map[int32]*watch
}

type watch struct {
	wd    int32
	dir   nfs.ID
	gen   uint64
	dirty map[string]bool
	used  time.Time
}

const watchMask = unix.IN_ATTRIB | unix.IN_MODIFY | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK

// view says which remembered attributes of dir, open as d, are right now. nil:
// none, and none can be remembered.
func (w *watches) view(dir nfs.ID, d *desc, now time.Time) *attrView {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.open() {
		return nil
	}
	w.drain()
	t := w.byDir[dir]
	if t == nil {
		if t = w.add(dir, d); t == nil {
			return nil
		}
	}
	t.used = now
	return &attrView{gen: t.gen, dirty: t.dirty, now: now}
}

// forget makes nothing count that was remembered: a change by one name is not
// reported to those who watch another.
func (w *watches) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.byDir {
		w.renew(t)
	}
}

func (w *watches) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd > 0 {
		unix.Close(w.fd)
	}
	w.fd, w.byDir, w.byWD = -1, nil, nil
}

// What follows needs mu.

func (w *watches) open() bool {
	if w.fd != 0 {
		return w.fd > 0
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		w.fd = -1
		return false
	}
	w.fd, w.byDir, w.byWD = fd, make(map[nfs.ID]*watch), make(map[int32]*watch)
	return true
}

func (w *watches) renew(t *watch) {
	w.gen++
	t.gen, t.dirty = w.gen, nil
}

func (w *watches) add(dir nfs.ID, d *desc) *watch {
	if len(w.byDir) >= watchLimit {
		var oldest *watch
		for _, t := range w.byDir {
			if oldest == nil || t.used.Before(oldest.used) {
				oldest = t
			}
		}
		_, _ = unix.InotifyRmWatch(w.fd, uint32(oldest.wd)) // or the directory is gone
		w.drop(oldest)
	}
	wd, err := unix.InotifyAddWatch(w.fd, "/proc/self/fd/"+strconv.Itoa(d.fd), watchMask)
	if err != nil {
		return nil
	}
	t := &watch{wd: int32(wd), dir: dir}
	if old := w.byWD[t.wd]; old != nil {
		w.drop(old) // the same directory under another id
	}
	w.renew(t)
	w.byDir[dir], w.byWD[t.wd] = t, t
	return t
}

func (w *watches) drop(t *watch) {
	delete(w.byDir, t.dir)
	delete(w.byWD, t.wd)
}

// drain takes the reports off the queue.
func (w *watches) drain() {
	var buf [4 << 10]byte
	for {
		n, err := unix.Read(w.fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		parseReports(buf[:n], w.report)
	}
}

// parseReports reads what inotify gives: wd:i32 mask:u32 cookie:u32 len:u32 and
// a name of len bytes with NULs at its end.
func parseReports(b []byte, add func(wd int32, mask uint32, name string)) {
	for len(b) >= unix.SizeofInotifyEvent {
		size := int(binary.NativeEndian.Uint32(b[12:]))
		if size > len(b)-unix.SizeofInotifyEvent {
			return
		}
		name := unix.ByteSliceToString(b[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+size])
		add(int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:]), name)
		b = b[unix.SizeofInotifyEvent+size:]
	}
}

func (w *watches) report(wd int32, mask uint32, name string) {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		for _, t := range w.byDir {
			w.renew(t)
		}
		return
	}
	t := w.byWD[wd]
	switch {
	case t == nil:
	case mask&unix.IN_IGNORED != 0:
		w.drop(t)
	case name == "" || t.dirty[name]:
	case len(t.dirty) >= dirtyLimit:
		w.renew(t)
	default:
		// Views have the old map.
		dirty := maps.Clone(t.dirty)
		if dirty == nil {
			dirty = make(map[string]bool)
		}
		dirty[name] = true
		t.dirty = dirty
	}
}
