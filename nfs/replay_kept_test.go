package nfs_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/nfs/memfs"
	"github.com/moorage/moorage/nfs/nfstest"
)

// keptFS remembers replies as if it kept them beyond the process.
type keptFS struct {
	countedFS
	mu      sync.Mutex
	replies map[nfs.CallKey][]byte
}

func (f *keptFS) KeptReply(key nfs.CallKey) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.replies[key]
	return r, ok
}

func (f *keptFS) KeepReply(key nfs.CallKey, reply []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replies[key] = slices.Clone(reply)
}

// TestReplayAfterRestart: what the file system kept is the answer of the next
// server, too, but not to a client that has only now asked for the mount.
func TestReplayAfterRestart(t *testing.T) {
	fs := &keptFS{countedFS: countedFS{FS: memfs.New(memfs.Options{Mode: 0o777})}, replies: make(map[nfs.CallKey][]byte)}
	begin := func() *replayEnv {
		return &replayEnv{env: start(t, fs, func(c *config) { c.auth = nfstest.Auth{} }), fs: &fs.countedFS}
	}
	e := begin()
	xid := e.c.NextXID()
	first := e.expect("MKDIR", e.c, xid, e.mkdir("d"), nfs.OK, 1)

	next := begin()
	if again := next.expect("repeated", next.c, xid, next.mkdir("d"), nfs.OK, 0); !bytes.Equal(first, again) {
		t.Errorf("%x, then %x", first, again)
	}

	last := begin()
	if r := must(last.c.Mnt(last.ctx, "/drive"))(t); r.Status != 0 {
		t.Fatalf("MNT: %d", r.Status)
	}
	last.expect("of a new client", last.c, xid, last.mkdir("d"), nfs.ErrExist, 1)
}
