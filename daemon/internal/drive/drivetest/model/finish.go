package model

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/drive/disk/disktest"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// find looks a path up.
func (w *world) find(ctx context.Context, d *drive.Drive, p string) (nfs.Attr, error) {
	a, err := d.GetAttr(ctx, owner, d.Root())
	for name := range strings.SplitSeq(p, "/") {
		if err != nil || p == "" {
			break
		}
		a, err = d.Lookup(ctx, owner, a.ID, name)
	}
	return a, err
}

// patient makes a call of a drive over a calm remote until it is answered.
func patient(f func(ctx context.Context) error) error {
	for i := 0; ; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		err := f(ctx)
		cancel()
		if s := nfs.StatusOf(err); err == nil || i == 200 || s != nfs.ErrJukebox && s != nfs.ErrIO {
			return err
		}
		time.Sleep(time.Second)
	}
}

// readDir lists a directory.
func readDir(ctx context.Context, d *drive.Drive, id nfs.ID) (es []nfs.DirEntry, err error) {
	cookie := uint64(0)
	for eof := false; !eof && err == nil; {
		eof, err = d.ReadDir(ctx, owner, id, cookie, true, func(e nfs.DirEntry) bool {
			es, cookie = append(es, e), e.Cookie
			return true
		})
	}
	return es, err
}

// look reads everything below a path of a drive.
func (w *world) look(d *drive.Drive, p string) (*seen, error) {
	var a nfs.Attr
	err := patient(func(ctx context.Context) (err error) {
		a, err = w.find(ctx, d, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w.lookAt(d, a)
}

func (w *world) lookAt(d *drive.Drive, a nfs.Attr) (*seen, error) {
	s := &seen{id: a.ID, typ: a.Type, mode: a.Mode & 0o7777, mtime: a.Mtime}
	switch a.Type {
	case nfs.TypeDirectory:
		s.kids = map[string]*seen{}
		var es []nfs.DirEntry
		err := patient(func(ctx context.Context) (err error) {
			es, err = readDir(ctx, d, a.ID)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, e := range es {
			if s.kids[e.Name] != nil {
				w.fail("%q is listed twice", e.Name)
			}
			var ka nfs.Attr
			err := patient(func(ctx context.Context) (err error) {
				ka, err = d.Lookup(ctx, owner, a.ID, e.Name)
				return err
			})
			if nfs.StatusOf(err) == nfs.ErrNoEnt || nfs.StatusOf(err) == nfs.ErrStale {
				continue // it goes at this moment
			}
			if err != nil {
				return nil, err
			}
			k, err := w.lookAt(d, ka)
			if err != nil {
				return nil, err
			}
			s.kids[e.Name] = k
		}
	case nfs.TypeSymlink:
		return s, patient(func(ctx context.Context) (err error) {
			s.target, err = d.Readlink(ctx, owner, a.ID)
			return err
		})
	default:
		s.err = patient(func(ctx context.Context) (err error) {
			s.data, err = readAll(ctx, d, a.ID)
			return err
		})
	}
	return s, nil
}

// isSide reports whether a path is of a file that stays on its computer.
func isSide(p string) bool {
	for name := range strings.SplitSeq(p, "/") {
		if name == ".DS_Store" || strings.HasPrefix(name, "._") || strings.HasPrefix(name, "~$") {
			return true
		}
	}
	return false
}

// mayDiffer reports whether the remote may have a path that the drive does not
// show, or the other way round.
func (w *world) mayDiffer(p string) bool {
	for _, c := range w.clients {
		for _, l := range c.left {
			// The folder may have another name by now, or it has stepped aside.
			if strings.HasPrefix(p, c.who+"/") && strings.Contains(p+"/", "/"+path.Base(l)+"/") || strings.Contains(p, "/.moorage-") {
				return true
			}
		}
	}
	return isSide(p)
}

// finish heals everything and looks whether all is on the remote.
func (w *world) finish() {
	w.remote.Calm(true)
	w.log("all is well again")
	for i := 0; ; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
		err := w.d.Sync(ctx)
		cancel()
		s := w.d.Status()
		w.log("sync: %v, %d pending, %d parked", err, s.Pending, s.Parked)
		if err == nil && s.Pending == 0 {
			break
		}
		if w.shared.giveUp() {
			continue
		}
		if i == 20 {
			w.fail("not all is published: %v", err)
			for _, e := range w.d.Ledger(100) {
				w.log("ledger: %+v", e)
			}
			return
		}
		time.Sleep(time.Minute)
	}
	var remote map[string]string
	w.until("the drive and the remote", func() string {
		got, err := w.look(w.d, "")
		if err != nil {
			return err.Error()
		}
		mine := map[string]string{}
		got.flat("", mine)
		if remote, err = w.remote.Tree(""); err != nil {
			return err.Error()
		}
		return differ("the drive and the remote", mine, remote, w.mayDiffer)
	})
	if w.isFailed() {
		return
	}
	for _, c := range w.clients {
		c.verify()
		c.published(remote)
	}
	w.shared.final(remote)
	if w.isFailed() {
		return
	}
	s := w.remote.Connect()
	other, err := w.start(disktest.New(1), disktest.New(2), s, func(string) {})
	if err != nil {
		w.fail("open on an empty disk: %v", err)
		return
	}
	got, err := w.look(other, "")
	if err != nil {
		w.fail("another drive: %v", err)
	} else {
		mine := map[string]string{}
		got.flat("", mine)
		if why := differ("another drive and the remote", mine, remote, isSide); why != "" {
			w.fail("%s", why)
		}
	}
	other.Close()
}

// giveUp removes files that were changed in part while somebody else replaced
// the rest, which nobody had read: nothing whole can be made of them. It reports
// whether there were any.
func (s *shared) giveUp() (some bool) {
	for _, e := range s.w.d.Ledger(1000) {
		if e.State != drive.Parked || !strings.HasPrefix(e.Path, "shared/") || !errors.Is(e.Err, providers.ErrChanged) && !errors.Is(e.Err, providers.ErrNotExist) && !errors.Is(e.Err, providers.ErrIsDir) {
			continue
		}
		s.w.log("given up: %s: %v", e.Path, e.Err)
		err := patient(func(ctx context.Context) error {
			dir, err := s.w.find(ctx, s.w.d, path.Dir(e.Path))
			if err != nil {
				return err
			}
			f, err := s.w.d.Lookup(ctx, owner, dir.ID, path.Base(e.Path))
			if err == nil {
				_, err = s.w.d.Remove(ctx, owner, dir.ID, path.Base(e.Path))
				s.gone(f.ID)
			}
			s.destroys(e.Path)()
			return err
		})
		if err != nil {
			s.w.fail("%s cannot be given up: %v", e.Path, err)
			return false
		}
		some = true
	}
	return some
}

// until waits for something that may take the drive a while to learn of.
func (w *world) until(what string, f func() string) {
	why := ""
	for range 30 {
		if why = f(); why == "" {
			return
		}
		time.Sleep(5 * time.Second)
	}
	w.fail("%s", why)
}

// published looks whether the remote has exactly what the client has.
func (c *client) published(remote map[string]string) {
	c.root.walk(func(n *node) {
		p := n.path()
		if isSide(p) {
			return
		}
		if n.typ == nfs.TypeDirectory {
			p += "/"
		}
		if _, ok := remote[p]; !ok {
			c.w.fail("%s is not on the remote", p)
		}
	})
	for p := range remote {
		if p, ok := strings.CutPrefix(p, c.who+"/"); ok && !c.w.mayDiffer(c.who+"/"+p) && c.root.at(strings.TrimSuffix(p, "/")) == nil {
			c.w.fail("%s/%s is on the remote, and should not be", c.who, p)
		}
	}
}

// at finds the node of a relative path.
func (n *node) at(p string) *node {
	for name := range strings.SplitSeq(p, "/") {
		if n == nil || p == "" {
			break
		}
		n = n.kids[name]
	}
	return n
}

// final looks whether anything was lost in the shared folder.
func (s *shared) final(remote map[string]string) {
	there := map[uint64]bool{}
	note := func(what string, b []byte) {
		ids, err := parse(b)
		if err != nil {
			s.w.fail("%s: %v", what, err)
		}
		for _, id := range ids {
			there[id] = true
		}
	}
	for p, content := range remote {
		if strings.HasPrefix(p, "shared/") && !strings.HasSuffix(p, "/") {
			s.check("the remote's "+p, []byte(content))
			note(p, []byte(content))
		}
		if name := path.Base(p); strings.HasPrefix(name, ".moorage") && !s.w.mayDiffer(p) {
			s.w.fail("%s was left on the remote", p)
		}
	}
	for _, b := range s.w.remote.Replaced() {
		note("what somebody else replaced", b)
	}
	for _, b := range s.w.remote.Moved() {
		note("what somebody else moved", b) // a client that takes it away does not know that it made it
	}
	s.mu.Lock()
	var lost []uint64
	for id, where := range s.state {
		if where != "" && !there[id] {
			lost = append(lost, id)
		}
	}
	s.mu.Unlock()
	slices.Sort(lost)
	for _, id := range lost {
		s.w.fail("cell %d, which was put into %s, is nowhere", id, s.state[id])
	}
	for _, r := range s.w.remote.Removals() {
		if r.Foreign && r.Told == 0 {
			s.w.fail("%s %s took away %s, of which the drive was never told", r.By, r.Path, r.Version)
		}
		if r.Foreign && strings.HasPrefix(r.Path, "shared/") && !s.mayGo(r.Path, r.Told) && !s.w.remote.Kept(r.Content, r.Path) {
			s.w.fail("%s %s took away %s of somebody else, after which no client changed anything there", r.By, r.Path, r.Version)
		}
	}
}
