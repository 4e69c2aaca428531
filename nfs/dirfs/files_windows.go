package dirfs

import (
	"container/list"
	"os"
	"sync"

	"github.com/moorage/moorage/nfs"
)

// openFile is a regular file that is kept open for its data.
type openFile struct {
	id       nfs.ID
	file     *os.File
	writable bool
	refs     int
	gone     bool // not in the cache any more: the last user closes it
	el       *list.Element
}

// fileCache keeps files open between calls, within a limit. A file that is
// open stays usable after its last name is gone.
type fileCache struct {
	limit int

	mu    sync.Mutex
	byID  map[nfs.ID]*openFile
	order list.List // least used first
}

func newFileCache(limit int) *fileCache {
	return &fileCache{limit: limit, byID: make(map[nfs.ID]*openFile)}
}

// get gives the open file of id, or nil; the caller releases it.
func (c *fileCache) get(id nfs.ID, writable bool) *openFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.byID[id]
	if o == nil || writable && !o.writable {
		return nil
	}
	o.refs++
	c.order.MoveToBack(o.el)
	return o
}

// put takes file for id, in the place of what was there; the caller releases
// the result.
func (c *fileCache) put(id nfs.ID, file *os.File, writable bool) *openFile {
	o := &openFile{id: id, file: file, writable: writable, refs: 1}
	c.mu.Lock()
	var dead []*os.File
	if old := c.byID[id]; old != nil {
		dead = c.remove(old, dead)
	}
	o.el = c.order.PushBack(o)
	c.byID[id] = o
	for el := c.order.Front(); el != nil && c.order.Len() > c.limit; {
		old := el.Value.(*openFile)
		el = el.Next()
		if old.refs == 0 {
			dead = c.remove(old, dead)
		}
	}
	c.mu.Unlock()
	closeFiles(dead)
	return o
}

func (c *fileCache) remove(o *openFile, dead []*os.File) []*os.File {
	c.order.Remove(o.el)
	delete(c.byID, o.id)
	o.gone = true
	if o.refs == 0 {
		dead = append(dead, o.file)
	}
	return dead
}

func (c *fileCache) release(o *openFile) {
	c.mu.Lock()
	o.refs--
	last := o.refs == 0 && o.gone
	c.mu.Unlock()
	if last {
		o.file.Close()
	}
}

// closeIdle closes all files that no call uses: Windows does not rename a
// directory with open files below it.
func (c *fileCache) closeIdle() {
	c.mu.Lock()
	var dead []*os.File
	for _, o := range c.byID {
		if o.refs == 0 {
			dead = c.remove(o, dead)
		}
	}
	c.mu.Unlock()
	closeFiles(dead)
}

func (c *fileCache) close() { c.closeIdle() }

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
