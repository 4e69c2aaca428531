package drive

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// parts is a store that copies in parts: what was moved has another version.
type parts struct {
	*rough.Session

	mu    sync.Mutex
	moved map[string]providers.Version // by path, from when they were moved
}

const inParts = "-1"

func (p *parts) shown(at string, e providers.Entry) providers.Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.moved[at]; ok && v == e.Version {
		e.Version += inParts
	}
	return e
}

func (p *parts) Move(ctx context.Context, from, to string, c providers.Cond) (providers.Entry, error) {
	e, err := p.Session.Move(ctx, from, to, c)
	if err == nil {
		p.mu.Lock()
		p.moved[to] = e.Version
		p.mu.Unlock()
	}
	return p.shown(to, e), err
}

func (p *parts) Stat(ctx context.Context, at string) (providers.Entry, error) {
	e, err := p.Session.Stat(ctx, at)
	return p.shown(at, e), err
}

func (p *parts) ReadDir(ctx context.Context, dir, from string) (providers.Page, error) {
	page, err := p.Session.ReadDir(ctx, dir, from)
	for i, e := range page.Entries {
		page.Entries[i] = p.shown(strings.TrimPrefix(dir+"/"+e.Name, "/"), e)
	}
	return page, err
}

func (p *parts) Open(ctx context.Context, at string, v providers.Version) (providers.Object, error) {
	return p.Session.Open(ctx, at, providers.Version(strings.TrimSuffix(string(v), inParts)))
}

// rsync sets a time and a mode, and then gives the file its name. If the file was
// published before, the remote copies it.
func TestMoveThatChangesTheVersionKeepsTimesAndMode(t *testing.T) {
	s := newSender(t, rough.Objects, nil, func(r *rough.Session) providers.Provider {
		return &parts{Session: r, moved: map[string]providers.Version{}}
	})
	if _, _, err := s.d.Create(t.Context(), owner, s.d.Root(), ".f.Xyz", nfs.CreateHow{}); err != nil {
		t.Fatal(err)
	}
	s.write(".f.Xyz", "content", 0)
	s.publish()
	at := time.Date(2001, 9, 9, 1, 46, 40, 301_000, time.UTC)
	f := s.find(".f.Xyz")
	if _, err := s.d.SetAttr(t.Context(), owner, f.ID, nfs.SetAttr{Valid: nfs.SetMtime | nfs.SetMode, Mtime: at, Mode: 0o600}, nil); err != nil {
		t.Fatal(err)
	}
	s.rename(".f.Xyz", "f")
	s.publish()
	s.wantRemote(map[string]string{"f": "content"})
	for range 2 { // what is known, and what the remote says
		got := s.find("f")
		if !got.Mtime.Equal(at) || got.Mode&0o777 != 0o600 {
			t.Errorf("it is of %v, mode %o, and was set to %v, 600", got.Mtime, got.Mode, at)
		}
		if _, err := s.d.ReadDir(t.Context(), owner, s.d.Root(), 0, true, func(nfs.DirEntry) bool { return true }); err != nil {
			t.Fatal(err)
		}
	}
	s.holds("f", "content")
}
