package faults

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/drive/drivetest/link"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/s3"
	"github.com/moorage/moorage/providers/s3/s3test"
)

// behind opens a bucket through a proxy, with the connections that it has by itself.
func behind(t *testing.T, s *shop) (*s3.Remote, *link.Proxy) {
	t.Helper()
	p, err := link.Listen(strings.TrimPrefix(s.srv.Endpoint, "http://"), link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	u, _, err := providers.ParseURL("s3://" + s.bucket + "?endpoint=" + url.QueryEscape("http://"+p.Addr()) + "&region=us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s3.Open(u, s3.Options{Credentials: s.srv.Credentials})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, p
}

// TestConnectionsAfterASleep has all connections forgotten by a router while nobody
// uses them.
func TestConnectionsAfterASleep(t *testing.T) {
	t.Parallel()
	s := newShop(t, s3test.Start(t))
	s.put(t, "f", before)
	r, proxy := behind(t, s)
	stat := func() error {
		// A connection that is dead without a word is given up after 30 s.
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		_, err := r.Stat(ctx, "f")
		return err
	}
	if err := stat(); err != nil {
		t.Fatal(err)
	}
	proxy.HalfOpen()
	r.Woke()
	if err := stat(); err != nil {
		t.Errorf("after a sleep: %v", err)
	}
}

// TestAddressChange resets all connections, as a computer does that comes to another
// network, while a file is read and another one is uploaded.
func TestAddressChange(t *testing.T) {
	t.Parallel()
	s := newShop(t, s3test.Start(t))
	files := tree{"r": noise(1, 1<<20), "later": before}
	for p, content := range files {
		s.put(t, p, content)
	}
	r, proxy := behind(t, s)
	d, err := drive.Open(t.Context(), drive.Options{Provider: r, StateDir: t.TempDir(), UID: owner.UID, GID: owner.GID, Quiet: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, shop: s, d: d, acked: files.clone(), known: map[string]bool{}, theirs: tree{}}
	defer w.close()
	ends := make(chan struct{})
	defer close(ends)
	go func() {
		for {
			select {
			case <-ends:
				return
			case <-time.After(time.Second):
				proxy.Reset()
			}
		}
	}()
	w.verify()
	w.save("new", noise(2, 9<<20))
	proxy.Reset()
	w.holds("later", before)
	w.ends()
}
