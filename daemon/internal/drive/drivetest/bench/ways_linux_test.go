package bench

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The ways to the store, as the columns of the table have them.
const (
	byMoorage = iota
	bySDK
	byServe
	byMount
	numWays
)

// errNone means that there is no such way on this computer.
var errNone = errors.New("not here")

// session is one way to the store, just begun.
type session struct {
	// list gives the number of names in a folder, whose attributes are known then.
	list func(ctx context.Context, dir string) (int, error)
	open func(ctx context.Context, key string) (readerAt, error)
	end  func() error
}

// begin goes one of the ways, with what dir has of an earlier time.
func begin(t testing.TB, way int, f *far, r *rclone, dir string) (*session, error) {
	switch way {
	case byMoorage:
		m := f.mount(t, options{state: dir})
		return exported(m.export, m.end), nil
	case bySDK:
		s := &session{list: f.list, end: func() error { return nil }}
		s.open = func(ctx context.Context, key string) (readerAt, error) { return f.object(key), nil }
		return s, f.warm(t.Context(), sdkReads)
	case byServe:
		if r == nil {
			return nil, errNone
		}
		e, end, err := r.serve(t, dir)
		if err != nil {
			return nil, err
		}
		return exported(e, func() error { end(); return nil }), nil
	}
	if r == nil || !r.fuse {
		return nil, errNone
	}
	at, end, err := r.mount(t, dir)
	if err != nil {
		return nil, err
	}
	var opened []io.Closer
	return &session{
		list: func(_ context.Context, dir string) (int, error) {
			all, err := os.ReadDir(filepath.Join(at, dir))
			return len(all), err
		},
		open: func(_ context.Context, key string) (readerAt, error) {
			file, err := os.Open(filepath.Join(at, key))
			opened = append(opened, file)
			return local{file}, err
		},
		end: func() error {
			for _, c := range opened {
				_ = c.Close()
			}
			end()
			return nil
		},
	}, nil
}

// exported is a way by NFS.
func exported(e export, end func() error) *session {
	at := func(ctx context.Context, dir string) (h []byte, err error) {
		h = e.root
		for name := range strings.SplitSeq(dir, "/") {
			if name == "" || err != nil {
				continue
			}
			d, lerr := e.lookup(ctx, h, name)
			h, err = d.Handle, lerr
		}
		return h, err
	}
	return &session{
		list: func(ctx context.Context, dir string) (int, error) {
			h, err := at(ctx, dir)
			if err != nil {
				return 0, err
			}
			all, err := e.list(ctx, h)
			return len(all), err
		},
		open: func(ctx context.Context, key string) (readerAt, error) {
			h, err := at(ctx, key)
			return &file{e.c, h}, err
		},
		end: end,
	}
}
