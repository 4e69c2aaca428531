package mounts

import (
	"errors"
	"testing"
	"time"

	"github.com/moorage/moorage/nfs"
)

func TestRule07Callers(t *testing.T) {
	squash := onlyOwner(1000)
	if c, err := squash(nfs.Caller{UID: 1000, GID: 7, Groups: []uint32{8}}); err != nil || c.UID != 1000 || c.GID != 7 || len(c.Groups) != 1 {
		t.Errorf("the owner became %+v, %v", c, err)
	}
	if c, err := squash(nfs.Caller{UID: 0, Groups: []uint32{0}}); err != nil || c.UID != nobody || c.GID != nobody || c.Groups != nil {
		t.Errorf("root became %+v, %v", c, err)
	}
	for _, uid := range []uint32{1, 65534, 2000} {
		if _, err := squash(nfs.Caller{UID: uid, GID: 7}); !errors.Is(err, nfs.ErrAccess) {
			t.Errorf("uid %d: %v", uid, err)
		}
	}
	if c, err := onlyOwner(0)(nfs.Caller{UID: 0}); err != nil || c.UID != 0 {
		t.Errorf("root as the owner became %+v, %v", c, err)
	}
}

func TestRule04Window(t *testing.T) {
	now := time.Unix(1000, 0)
	g := &gate{clock: func() time.Time { return now }}
	try := func() bool { return g.allow(t.Context(), nil) == nil }
	if try() {
		t.Error("open before it was opened")
	}
	g.open()
	if !try() || try() {
		t.Error("want exactly one MNT")
	}
	g.open()
	now = now.Add(mntWindow)
	if try() {
		t.Error("open after its time")
	}
	g.open()
	g.close()
	if try() {
		t.Error("open after it was closed")
	}
}
