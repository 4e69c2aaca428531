package listing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/internal/drive"
	"github.com/moorage/moorage/daemon/internal/kerneltest"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
)

// guestEnv is set where this binary runs in the guest.
const guestEnv = "MOORAGE_LISTING_GUEST"

func TestMain(m *testing.M) {
	if os.Getenv(guestEnv) == "" {
		os.Exit(m.Run())
	}
	if err := guest(); err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
}

func TestListing(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel; not with -short")
	}
	bin := t.TempDir()
	// Compiled anew: what the race detector or cgo adds is not for the guest.
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(bin, "listing"), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	t.Log("\n" + kerneltest.Run(t, kerneltest.Guest{
		Scripts: []string{"testdata/listing.sh"}, Bin: bin, Timeout: 3 * time.Minute, Env: map[string]string{guestEnv: "1"},
	}))
}

// The folder "big" of the remote: how many names it has, and on how many pages
// they come, each after so long.
const (
	names    = 10_000
	perPage  = 1000
	pageTime = 100 * time.Millisecond
)

// slow is a remote that only time can make us ask again, with a folder whose
// pages take long.
type slow struct {
	providers.Provider
	m     *mem.Remote
	n     atomic.Int64 // names in big
	pages atomic.Int64 // of it that were asked for
}

func (s *slow) Info() providers.Info { return providers.Info{Kind: providers.KindMem, MaxParallel: 4} }

func (s *slow) ReadDir(ctx context.Context, p, cursor string) (providers.Page, error) {
	if p != "big" {
		return s.Provider.ReadDir(ctx, p, cursor)
	}
	s.pages.Add(1)
	select {
	case <-time.After(pageTime):
	case <-ctx.Done():
		return providers.Page{}, ctx.Err()
	}
	from, _ := strconv.Atoi(cursor)
	to := min(from+perPage, int(s.n.Load()))
	var page providers.Page
	for i := from; i < to; i++ {
		page.Entries = append(page.Entries, providers.Entry{Name: name(i), Mode: 0o644, Size: 1, ModTime: time.Unix(1e9, 0), Version: "v"})
	}
	if to < int(s.n.Load()) {
		page.Next = strconv.Itoa(to)
	}
	return page, nil
}

func name(i int) string { return fmt.Sprintf("name-%06d", i) }

// counted counts what the kernel is given of listings.
type counted struct {
	*drive.Drive
	calls, starts, entries atomic.Int64
}

func (c *counted) ReadDir(ctx context.Context, who *nfs.Caller, dir nfs.ID, cookie uint64, plus bool, fill func(nfs.DirEntry) bool) (bool, error) {
	c.calls.Add(1)
	if cookie == 0 {
		c.starts.Add(1)
	}
	return c.Drive.ReadDir(ctx, who, dir, cookie, plus, func(e nfs.DirEntry) bool {
		ok := fill(e)
		if ok {
			c.entries.Add(1)
		}
		return ok
	})
}

// guest is all that happens in the guest.
func guest() error {
	m := mem.New(mem.Options{})
	if _, err := m.Mkdir(context.Background(), "big"); err != nil {
		return err
	}
	if err := fill(m, 3); err != nil {
		return err
	}
	remote := &slow{Provider: m, m: m}
	remote.n.Store(names)
	d, err := drive.Open(context.Background(), drive.Options{Provider: remote, StateDir: "/tmp/state", TTL: 2 * time.Second})
	if err != nil {
		return err
	}
	fsys := &counted{Drive: d}
	s, err := nfs.NewServer(nfs.Options{})
	if err != nil {
		return err
	}
	if err := s.Export(nfs.Export{Path: "/drive", FS: fsys, Key: make([]byte, 32), FSID: 1, ReadOnly: true}); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	port := l.Addr().(*net.TCPAddr).Port
	mount := exec.Command("mount.nfs", "127.0.0.1:/drive", "/mnt/drive", "-o",
		fmt.Sprintf("vers=3,proto=tcp,port=%d,mountport=%d,mountproto=tcp,nolock,noacl,hard,actimeo=1", port, port))
	if out, err := mount.CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	err = check(remote, fsys)
	if out, uerr := exec.Command("umount", "/mnt/drive").CombinedOutput(); uerr != nil {
		err = errors.Join(err, fmt.Errorf("umount: %w: %s", uerr, out))
	}
	err = errors.Join(err, s.Shutdown(context.Background()))
	if serr := <-served; !errors.Is(serr, nfs.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return errors.Join(err, d.Close())
}

func check(remote *slow, fsys *counted) error {
	// A client that was told that a name is absent has something to drop.
	if _, err := os.Stat("/mnt/drive/big/absent"); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("a name that is not there: %v", err)
	}
	began := time.Now()
	first, all, err := list("/mnt/drive/big", names)
	if err != nil {
		return err
	}
	fmt.Printf("first names after %v, all after %v; %d calls, %d from the start, %d entries, %d pages\n",
		first.Sub(began).Round(time.Millisecond), all.Sub(began).Round(time.Millisecond),
		fsys.calls.Load(), fsys.starts.Load(), fsys.entries.Load(), remote.pages.Load())
	if d := first.Sub(began); d > names/perPage*pageTime/2 {
		return fmt.Errorf("the first names came after %v", d)
	}
	if n := remote.pages.Load(); n != names/perPage {
		return fmt.Errorf("the remote was asked for %d pages, want %d", n, names/perPage)
	}
	if n := fsys.entries.Load(); n > names*3/2 {
		return fmt.Errorf("the kernel was given %d entries for %d names", n, names)
	}
	fsys.calls.Store(0)
	fsys.entries.Store(0)
	if _, _, err := list("/mnt/drive/big", names); err != nil {
		return err
	}
	fmt.Printf("a second time: %d calls, %d entries\n", fsys.calls.Load(), fsys.entries.Load())

	// What changes on the remote is seen. (How long a listing counts goes by how
	// long it took, so this is a small folder.)
	if _, _, err := list("/mnt/drive/few", 3); err != nil {
		return err
	}
	began = time.Now()
	if err := fill(remote.m, 4); err != nil {
		return err
	}
	for {
		_, _, err := list("/mnt/drive/few", 4)
		if err == nil {
			fmt.Printf("a new name is seen after %v\n", time.Since(began).Round(time.Millisecond))
			return nil
		}
		if time.Since(began) > 30*time.Second {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// fill makes a folder of n names.
func fill(m *mem.Remote, n int) error {
	_, err := m.Mkdir(context.Background(), "few")
	if errors.Is(err, providers.ErrExist) {
		err = nil
	}
	for i := range n {
		_, perr := m.Put(context.Background(), "few/"+name(i), strings.NewReader("x"), providers.PutOptions{})
		err = errors.Join(err, perr)
	}
	return err
}

// list lists a folder that has so many names, and tells when the first ones and
// all of them were there.
func list(dir string, want int) (first, all time.Time, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return first, all, err
	}
	defer f.Close()
	n := 0
	for {
		got, err := f.Readdirnames(100)
		for _, s := range got {
			if s != name(n) {
				return first, all, fmt.Errorf("%s is listed where %s should be", s, name(n))
			}
			n++
		}
		if first.IsZero() {
			first = time.Now()
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return first, all, err
		}
	}
	if n != want {
		return first, all, fmt.Errorf("%d names are listed, want %d", n, want)
	}
	return first, time.Now(), nil
}
