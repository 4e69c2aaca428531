//go:build unix

package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/nfs/nfstest"
)

// What is pinned of a mounted bucket can be read while the bucket is away, also
// after the service was killed.
func TestPinnedBucket(t *testing.T) {
	h, b := newHome(t), newBucket(t)
	p := h.service()
	ctx := t.Context()
	d := h.mount(api.AddDrive{URL: b.url(), Name: "b", Remember: true, Auto: true})
	c := kernel(t, d.Address)
	f := save(t, c, h.root(), "one", "kept here")
	if _, err := h.client.Sync(ctx, "b", true); err != nil {
		t.Fatal(err)
	}
	if _, err := h.client.Pin(ctx, "b", ""); err != nil {
		t.Fatal(err)
	}
	kept := func() {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			l, err := h.client.Pins(ctx, "b")
			if err == nil && len(l) == 1 && l[0].State == api.PinKept && l[0].Here == 9 && l[0].Folder {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the pins are %+v, %v", l, err)
			}
		}
	}
	kept()
	b.srv.Stop()
	reads := func(c *nfstest.Client) {
		t.Helper()
		r, err := c.Read(ctx, f, 0, 100)
		if err != nil || r.Status != 0 || string(r.Data) != "kept here" {
			t.Errorf("read while the bucket is away: %+v, %v", r, err)
		}
	}
	reads(c)
	p.end(syscall.SIGKILL)
	h.service()
	d = h.drive("b", func(d api.Drive) bool { return d.Address != "" })
	reads(kernel(t, d.Address))
	kept()
	if err := h.client.Unpin(ctx, "b", ""); err != nil {
		t.Error(err)
	}
}
