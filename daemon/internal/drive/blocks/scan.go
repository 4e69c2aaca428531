package blocks

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/moorage/moorage/daemon/internal/drive/disk"
)

// markName is the file by which backup programs know caches
// (https://bford.info/cachedir/), and by which a folder that was deleted is
// noticed.
const markName = "CACHEDIR.TAG"

const markText = `Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of Moorage. It can be deleted at any time.
`

// mark puts the marker into the folder.
func (c *Cache) mark() error {
	f, err := c.fs.Open(markName, true)
	if err != nil {
		return fmt.Errorf("open the cache: %w", err)
	}
	// A full disk is no reason not to open: what is there can be read.
	if _, err := f.WriteAt([]byte(markText), 0); err != nil {
		c.warn("the cache's folder cannot be marked", "err", err)
	}
	return f.Close()
}

// checkMark notices that the folder was deleted. What is left of it is looked
// through again, and nothing else is believed to be there.
func (c *Cache) checkMark() {
	f, err := c.fs.Open(markName, false)
	if err == nil {
		f.Close()
		return
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err := c.mark(); err != nil {
		c.warn("the cache's folder cannot be made again", "err", err)
		return
	}
	c.log.Info("the cache's folder was deleted; it begins anew")
	c.flushMu.Lock()
	clear(c.settled)
	c.flushMu.Unlock()
	c.mu.Lock()
	c.scanned = false
	c.index = newIndex()
	c.mu.Unlock()
	for _, v := range c.allOpen() {
		v.mu.Lock()
		var last *openFile
		// Bytes of a Span are being sent from the file that it has.
		if v.phase == idle && !v.spanned() {
			last = v.forget()
			v.absent = false
		}
		v.mu.Unlock()
		closeLast(last)
		c.release(v)
	}
	wake(c.rescan)
}

func (v *version) spanned() bool {
	for _, x := range v.exts {
		if x.spans > 0 {
			return true
		}
	}
	return false
}

// scan looks through the folder at the start, and when it was deleted.
func (c *Cache) scan() {
	defer c.workers.Done()
	for {
		if err := c.scanAll(); err != nil && !c.closed.Load() {
			c.warn("the cache's folder cannot be read", "err", err)
		}
		select {
		case <-c.closing:
			return
		case <-c.rescan:
		}
	}
}

func (c *Cache) scanAll() error {
	c.mu.Lock()
	x := c.index
	c.mu.Unlock()
	tops, err := c.fs.List(".")
	if err != nil {
		return err
	}
	for _, top := range tops {
		if !top.Dir || !isHexByte(top.Name) {
			continue
		}
		dirs, err := c.fs.List(top.Name)
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			if !dir.Dir || !isHexByte(dir.Name) {
				continue
			}
			if c.closed.Load() {
				return ErrClosed
			}
			if err := c.scanFolder(top.Name + "/" + dir.Name); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	if x == c.index { // else the folder was deleted meanwhile, and another scan follows
		c.scanned = true
	}
	c.mu.Unlock()
	wake(c.press)
	return nil
}

func isHexByte(s string) bool {
	const digits = "0123456789abcdef"
	return len(s) == 2 && contains(digits, s[0]) && contains(digits, s[1])
}

func contains(s string, b byte) bool {
	for i := range len(s) {
		if s[i] == b {
			return true
		}
	}
	return false
}

// scanFolder puts the versions in one folder into the index. It believes the
// names and sizes of small files; what is in them is looked at when they are
// read. Large ones are opened to see which extents they have.
func (c *Cache) scanFolder(dir string) error {
	c.mu.Lock()
	removed := c.removed
	c.mu.Unlock()
	files, err := c.fs.List(dir)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		c.removeFolder(dir)
		return nil
	}
	for _, f := range files {
		i, ok := parseBase(f.Name)
		if !ok || f.Dir || folder(i.object) != dir {
			continue
		}
		c.mu.Lock()
		known := c.index.find(i) != 0
		// What may have been removed since it was listed is looked at as well.
		look := f.Size > extentSize || c.openLocked(i) != nil || c.removed != removed
		if !known && !look {
			c.scannedLocked(i, f)
		}
		c.mu.Unlock()
		if !known && look {
			c.scanFile(i)
		}
	}
	return nil
}

// removeFolder removes a folder, unless something was put there meanwhile. If it
// is made again, its name has to be put on stable storage again.
func (c *Cache) removeFolder(dir string) {
	c.flushMu.Lock()
	defer c.flushMu.Unlock()
	if c.fs.Remove(dir) == nil {
		delete(c.settled, dir)
	}
}

// scannedLocked puts a small file into the main queue: it may have been used
// often.
func (c *Cache) scannedLocked(i id, f disk.Info) {
	r := c.index.add(i, false, (f.Used+page-1)/page, c.tick())
	c.index.remove(r)
	c.index.push(queueMain, r)
}

// scanFile opens a version, which puts it into the index.
func (c *Cache) scanFile(i id) {
	v := c.acquire(i, false)
	defer c.release(v)
	v.mu.Lock()
	of, err := v.ensure(false)
	if err != nil {
		v.mu.Unlock()
		return // it is absent, or cannot be read and will be removed when its turn comes
	}
	last := v.unref(of)
	v.mu.Unlock()
	closeLast(last)
	c.mu.Lock()
	empty := v.handles == 0 && c.emptyLocked(i)
	c.mu.Unlock()
	if empty {
		c.discard(v, false)
	}
}
