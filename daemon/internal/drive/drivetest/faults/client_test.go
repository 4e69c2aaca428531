package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/nfs"
)

// find looks a path up.
func (w *world) find(ctx context.Context, p string) (nfs.Attr, error) {
	a, err := w.d.GetAttr(ctx, owner, w.d.Root())
	for name := range strings.SplitSeq(p, "/") {
		if err != nil || p == "" {
			break
		}
		a, err = w.d.Lookup(ctx, owner, a.ID, name)
	}
	return a, err
}

// attr is what the client is told about a path.
func (w *world) attr(p string) nfs.Attr {
	w.t.Helper()
	var a nfs.Attr
	err := patient(func(ctx context.Context) (err error) {
		a, err = w.find(ctx, p)
		return err
	})
	if err != nil && !w.isDead() {
		w.t.Errorf("find %s: %v", p, err)
	}
	return a
}

// in finds the folder of a path.
func (w *world) in(ctx context.Context, p string) (dir nfs.ID, name string, err error) {
	at, name := path.Split(p)
	a, err := w.find(ctx, strings.TrimSuffix(at, "/"))
	return a.ID, name, err
}

// asks lists a folder, whatever comes of that.
func (w *world) asks(p string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if a, err := w.find(ctx, p); err == nil {
		_, _ = w.d.ReadDir(ctx, owner, a.ID, 0, true, func(nfs.DirEntry) bool { return true })
	}
}

func (w *world) create(p string) {
	w.t.Helper()
	w.do("create "+p, func(t tree) { t[p] = "" }, func(ctx context.Context) error {
		dir, name, err := w.in(ctx, p)
		if err == nil {
			_, _, err = w.d.Create(ctx, owner, dir, name, nfs.CreateHow{Set: nfs.SetAttr{Valid: nfs.SetSize}})
		}
		return err
	})
}

// laid is content with more laid over it at an offset.
func laid(content, more string, off int) string {
	if n := off + len(more) - len(content); n > 0 {
		content += strings.Repeat("\x00", n)
	}
	return content[:off] + more + content[off+len(more):]
}

// write writes to a file and has it on stable storage.
func (w *world) write(p, data string, off int) {
	w.t.Helper()
	w.mu.Lock()
	w.torn = true
	w.mu.Unlock()
	w.do(fmt.Sprintf("write %s %d+%d", p, off, len(data)), func(t tree) { t[p] = laid(t[p], data, off) }, func(ctx context.Context) error {
		a, err := w.find(ctx, p)
		if err == nil {
			err = w.writeAt(ctx, a.ID, data, off)
		}
		return err
	})
	w.mu.Lock()
	w.torn = w.dead && w.maybe != nil
	w.mu.Unlock()
}

// writeAt writes as a client does: in pieces, and then a COMMIT.
func (w *world) writeAt(ctx context.Context, id nfs.ID, data string, off int) error {
	const piece = 1 << 20
	for at := 0; at < len(data); at += piece {
		if _, _, err := w.d.Write(ctx, owner, id, []byte(data[at:min(at+piece, len(data))]), uint64(off+at), nfs.Unstable); err != nil {
			return err
		}
	}
	_, err := w.d.Commit(ctx, owner, id, 0, 0)
	return err
}

// save writes a file anew.
func (w *world) save(p, content string) {
	w.t.Helper()
	w.create(p)
	w.write(p, content, 0)
}

func (w *world) truncate(p string, size int) {
	w.t.Helper()
	w.do(fmt.Sprintf("truncate %s to %d", p, size), func(t tree) { t[p] = laid(t[p], "", max(size, len(t[p])))[:size] }, func(ctx context.Context) error {
		a, err := w.find(ctx, p)
		if err == nil {
			_, err = w.d.SetAttr(ctx, owner, a.ID, nfs.SetAttr{Valid: nfs.SetSize, Size: uint64(size)}, nil)
		}
		return err
	})
}

func (w *world) mkdir(p string) {
	w.t.Helper()
	w.do("mkdir "+p, func(t tree) { t[p+"/"] = "" }, func(ctx context.Context) error {
		dir, name, err := w.in(ctx, p)
		if err == nil {
			_, _, err = w.d.Mkdir(ctx, owner, dir, name, nfs.SetAttr{})
		}
		return err
	})
}

func (w *world) symlink(p, target string) {
	w.t.Helper()
	w.do("symlink "+p, func(t tree) { t[p] = "-> " + target }, func(ctx context.Context) error {
		dir, name, err := w.in(ctx, p)
		if err == nil {
			_, _, err = w.d.Symlink(ctx, owner, dir, name, target, nfs.SetAttr{})
		}
		return err
	})
}

func (w *world) rename(from, to string) {
	w.t.Helper()
	if w.isDead() {
		return
	}
	id := w.attr(from).ID
	defer func() {
		if !w.isDead() {
			delete(w.ids, from)
			w.ids[to] = id
		}
	}()
	w.do("rename "+from+" to "+to, func(t tree) { t.rename(from, to) }, func(ctx context.Context) error {
		dir, name, err := w.in(ctx, from)
		if err != nil {
			return err
		}
		toDir, toName, err := w.in(ctx, to)
		if err == nil {
			_, _, err = w.d.Rename(ctx, owner, dir, name, toDir, toName)
		}
		return err
	})
}

func (w *world) remove(p string) {
	w.t.Helper()
	delete(w.ids, p)
	w.do("remove "+p, func(t tree) { t.remove(p) }, func(ctx context.Context) error {
		dir, name, err := w.in(ctx, p)
		if err == nil {
			_, err = w.d.Remove(ctx, owner, dir, name)
		}
		return err
	})
}

func (w *world) rmdir(p string) {
	w.t.Helper()
	w.do("rmdir "+p, func(t tree) { t.remove(p) }, func(ctx context.Context) error {
		dir, name, err := w.in(ctx, p)
		if err == nil {
			_, err = w.d.Rmdir(ctx, owner, dir, name)
		}
		return err
	})
}

// read reads a whole file.
func (w *world) read(ctx context.Context, id nfs.ID) (string, error) {
	a, err := w.d.GetAttr(ctx, owner, id)
	if err != nil {
		return "", err
	}
	p := make([]byte, a.Size)
	n, _, err := w.d.Read(ctx, owner, id, p, 0)
	for err == nil && n < len(p) { // a client asks for the rest
		var m int
		if m, _, err = w.d.Read(ctx, owner, id, p[n:], uint64(n)); m == 0 && err == nil {
			err = io.ErrUnexpectedEOF
		}
		n += m
	}
	return string(p[:n]), err
}

// holds looks whether a file has a content.
func (w *world) holds(p, want string) {
	w.t.Helper()
	var got string
	err := patient(func(ctx context.Context) error {
		a, err := w.find(ctx, p)
		if err == nil {
			got, err = w.read(ctx, a.ID)
		}
		return err
	})
	if err != nil || got != want {
		w.t.Errorf("%s holds %.40q (%d bytes), %v, not %.40q (%d bytes)", p, got, len(got), err, want, len(want))
	}
}

// look reads all that the drive shows.
func (w *world) look() tree {
	w.t.Helper()
	out := tree{}
	w.lookAt("", w.d.Root(), out)
	return out
}

// list lists a folder.
func (w *world) list(at string) (es []nfs.DirEntry) {
	w.t.Helper()
	err := patient(func(ctx context.Context) error {
		dir, err := w.find(ctx, at)
		if err != nil {
			return err
		}
		es = nil
		for cookie, eof := uint64(0), false; !eof; {
			eof, err = w.d.ReadDir(ctx, owner, dir.ID, cookie, true, func(e nfs.DirEntry) bool {
				es, cookie = append(es, e), e.Cookie
				return true
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Errorf("list %q: %v", at, err)
	}
	return es
}

func (w *world) lookAt(at string, dir nfs.ID, out tree) {
	w.t.Helper()
	es := w.list(at)
	for _, e := range es {
		p := path.Join(at, e.Name)
		var content string
		var a nfs.Attr
		err := patient(func(ctx context.Context) (err error) {
			if a, err = w.d.Lookup(ctx, owner, dir, e.Name); err != nil {
				return err
			}
			switch a.Type {
			case nfs.TypeSymlink:
				content, err = w.d.Readlink(ctx, owner, a.ID)
				content = "-> " + content
			case nfs.TypeRegular:
				content, err = w.read(ctx, a.ID)
			}
			return err
		})
		if err != nil {
			w.t.Errorf("%q, which is listed: %v", p, err)
			continue
		}
		if _, ok := out[p]; ok {
			w.t.Errorf("%q is listed twice", p)
		}
		if a.Type == nfs.TypeDirectory {
			out[p+"/"] = ""
			w.lookAt(p, a.ID, out)
			continue
		}
		out[p] = content
	}
}

// verify looks whether the drive is what was acknowledged, with or without the
// call that was not answered.
func (w *world) verify() {
	w.t.Helper()
	got := w.look()
	for range 3 {
		if len(w.theirs) == 0 || differ(got, w.acked) == "" || w.both(got) {
			break
		}
		time.Sleep(time.Minute) // names changed between the listing and the reading
		got = w.look()
	}
	without := differ(got, w.acked)
	if without == "" || w.both(got) {
		w.maybe = nil
		return
	}
	if w.maybe == nil {
		w.t.Errorf("the drive is not what was acknowledged: %s", without)
		return
	}
	if with := differ(got, w.mixed(got)); with != "" {
		w.t.Errorf("the drive is neither what was acknowledged: %s; nor what it would be after the call that was not answered: %s", without, with)
	}
	w.acked, w.maybe = got, nil
	w.know(got)
}

// mixed is what the drive may be after the call that was not answered: as it would
// be with it, and bytes of a write may be there or not, each for itself.
func (w *world) mixed(got tree) tree {
	out := w.maybe.clone()
	for p, with := range out {
		without, both := w.acked[p]
		is, there := got[p]
		if !both || !there || with == without || len(is) != len(with) && len(is) != len(without) {
			continue
		}
		without = laid(without, "", max(len(with), len(without)))
		with = laid(with, "", len(without))
		mix := true
		for i := range len(is) {
			if is[i] != with[i] && is[i] != without[i] && is[i] != 0 {
				mix = false
				break
			}
		}
		if mix {
			out[p] = is
		}
	}
	return out
}

// remoteTree is what is on the remote.
func (w *world) remoteTree() tree {
	w.t.Helper()
	var got tree
	var err error
	if w.shop != nil {
		got, err = w.shop.tree()
	} else {
		got, err = w.remote.Tree("")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// edit has somebody else change a file.
func (w *world) edit(p, content string) {
	w.t.Helper()
	w.know(tree{p: content})
	w.theirs[p] = content
	if err := w.remote.Edit(p, []byte(content)); err != nil {
		w.t.Error(err)
	}
}

// both reports whether a tree is what was acknowledged, and has beside it what
// somebody else made of the same files: that has the name, and what was changed
// here is a conflict copy.
func (w *world) both(got tree) bool {
	want := w.acked.clone()
	for p, theirs := range w.theirs {
		ext := path.Ext(p)
		for q := range got {
			if strings.HasPrefix(q, strings.TrimSuffix(p, ext)+" (conflict host ") && strings.HasSuffix(q, ")"+ext) {
				want[q] = w.acked[p]
				want[p] = theirs
			}
		}
	}
	return len(want) == len(w.acked)+len(w.theirs) && differ(got, want) == ""
}

var errNotSettled = errors.New("not all is published")

// settle has all published, for as long as that takes.
func (w *world) settle() error {
	for end := time.Now().Add(bound); time.Now().Before(end) && !w.isDead(); time.Sleep(time.Minute) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
		began := time.Now()
		err := w.d.Sync(ctx)
		cancel()
		if w.isDead() {
			return nil
		}
		if took := time.Since(began); took > 31*time.Minute {
			return fmt.Errorf("Sync took %v", took)
		}
		if s := w.d.Status(); err == nil && s.Pending == 0 {
			return nil
		}
	}
	if w.isDead() {
		return nil
	}
	var why []error
	for _, e := range w.d.Ledger(10) {
		if e.State == drive.Saved || e.State == drive.Parked || e.State == drive.Uploading {
			why = append(why, fmt.Errorf("%s is %s: %w", e.Path, e.State, errors.Join(e.Err)))
		}
	}
	return errors.Join(append(why, errNotSettled)...)
}

// ends has all published and looks whether the drive and the remote are what was
// acknowledged.
func (w *world) ends() {
	w.t.Helper()
	if err := w.settle(); err != nil {
		w.t.Error(err)
		return
	}
	w.verify()
	for p, id := range w.ids {
		if _, there := w.acked[p]; !there {
			continue // it was moved on by a call that was not answered
		}
		if a := w.attr(p); a.ID != id {
			w.t.Errorf("%s was %d and is %d", p, id, a.ID)
		}
	}
	got := w.remoteTree()
	if len(w.theirs) > 0 && w.both(got) {
		w.acked, w.theirs = got, nil
		w.verify()
	}
	want := w.acked.clone()
	for _, p := range w.side {
		want.remove(p)
	}
	if why := differ(got, want); why != "" {
		w.t.Errorf("the remote is not what was acknowledged: %s", why)
	}
	if w.remote == nil {
		return
	}
	for _, r := range w.remote.Removals() {
		if r.Foreign && r.Told == 0 {
			w.t.Errorf("%s %s took away %s, of which the drive was never told", r.By, r.Path, r.Version)
		}
	}
}
