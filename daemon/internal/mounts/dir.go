package mounts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/mounter"
)

// dirTimeout bounds looking at a folder, which may lie below a dead mount.
const dirTimeout = 5 * time.Second

// place is a folder that was prepared for a mount.
type place struct {
	dir  string
	made bool // the folder was made for this mount
}

// preparePlace makes sure that a drive can be mounted at dir, before anything
// else is done for it. With create a missing folder is made.
func (m *Manager) preparePlace(ctx context.Context, dir string, create bool) (place, error) {
	table, err := m.o.Mounter.List(ctx)
	if err != nil {
		return place{}, err
	}
	if !filepath.IsAbs(dir) && !isVolume(dir) {
		return place{}, problem.New(api.ExitUsage, api.CodeBadDir, fmt.Sprintf("%q is not an absolute path.", dir), "", "Give the whole path of a folder.")
	}
	return within(ctx, func() (place, error) {
		p := place{dir: resolve(dir)}
		for _, mt := range table { // before dir itself is touched: the mount may be dead
			if mt.Dir == p.dir || mt.Dir == dir {
				return place{}, problem.New(api.ExitFailed, api.CodeDirMounted, fmt.Sprintf("%s is mounted on %s already.", mt.Source, dir), "",
					"Unmount that, or choose another folder.")
			}
		}
		err := checkPlace(p.dir)
		if errors.Is(err, fs.ErrNotExist) && create {
			if err := os.MkdirAll(filepath.Dir(p.dir), 0o700); err != nil {
				return place{}, badDir(p.dir, err)
			}
			if err := os.Mkdir(p.dir, 0o700); err != nil {
				return place{}, badDir(p.dir, err)
			}
			p.made = true
			return p, nil
		}
		return p, badDir(p.dir, err)
	}, m.removePlace)
}

// removePlace takes the folder away if it was made for the mount, and the one above
// it if nothing else is in there and no person has chosen it.
func (m *Manager) removePlace(p place) {
	if p.made && os.Remove(p.dir) == nil && filepath.Dir(p.dir) == resolve(m.o.MountsDir) {
		_ = os.Remove(filepath.Dir(p.dir)) // fails if it is not empty, as it should
	}
}

// checkPlace looks at the folder without following a symbolic link at its end.
func checkPlace(dir string) error {
	if isVolume(dir) {
		return nil // a drive letter; mounting finds out whether it is free
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st.Mode()&fs.ModeSymlink != 0 {
		return errSymlink
	}
	if !st.IsDir() {
		return syscall.ENOTDIR
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(1)
	if len(names) > 0 {
		return syscall.ENOTEMPTY
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

var errSymlink = errors.New("it is a symbolic link")

// badDir explains why dir cannot be mounted on; nil if err is.
func badDir(dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(api.ExitFailed, api.CodeDirMissing, fmt.Sprintf("The folder %s does not exist.", dir), "",
			fmt.Sprintf("Make it (mkdir -p %q), or leave the folder out to use the default place.", dir))
	case errors.Is(err, syscall.ENOTDIR):
		return problem.New(api.ExitFailed, api.CodeDirNotDir, fmt.Sprintf("%s is not a folder.", dir), "", "Choose an empty folder.")
	case errors.Is(err, syscall.ENOTEMPTY):
		return problem.New(api.ExitFailed, api.CodeDirNotEmpty, fmt.Sprintf("The folder %s is not empty.", dir),
			"What is in it would be hidden while the drive is mounted.", "Choose an empty folder.")
	case errors.Is(err, errSymlink):
		return problem.New(api.ExitFailed, api.CodeBadDir, fmt.Sprintf("%s is a symbolic link.", dir), "", "Give the folder that it leads to.")
	case errors.Is(err, syscall.ENOSPC):
		return problem.Of(err, dir)
	}
	return problem.New(api.ExitFailed, api.CodeBadDir, fmt.Sprintf("The folder %s cannot be used: %v.", dir, err), "", "Choose another folder.")
}

// resolve is dir with the symbolic links above it resolved, as the mount table
// shows it. A folder above that does not exist is left as it is.
func resolve(dir string) string {
	dir = filepath.Clean(dir)
	if p, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		return filepath.Join(p, filepath.Base(dir))
	}
	return dir
}

// within runs f, which may hang in the file system, for dirTimeout. If f comes
// back later, late takes its result back.
func within[T any](ctx context.Context, f func() (T, error), late func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	c := make(chan result)
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		v, err := f()
		select {
		case c <- result{v, err}:
		case <-gone:
			if err == nil {
				late(v)
			}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, dirTimeout)
	defer cancel()
	select {
	case r := <-c:
		return r.v, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// mountProblem explains what the mounter said of the drive called name at dir.
func mountProblem(err error, name, dir string) *api.Error {
	code, exit := api.CodeMount, api.ExitFailed
	switch {
	case errors.Is(err, mounter.ErrUnsupported):
		code, exit = api.CodeNoClient, api.ExitMissing
	case errors.Is(err, mounter.ErrPermission):
		code, exit = api.CodeRights, api.ExitMissing
	case errors.Is(err, mounter.ErrDir):
		if e, ok := errors.AsType[*api.Error](badDir(dir, err)); ok && e.Problem.Code != api.CodeBadDir {
			return e
		}
		code = api.CodeBadDir
	case errors.Is(err, mounter.ErrBusy):
		code = api.CodeBusy
	case errors.Is(err, mounter.ErrNotMounted):
		code, exit = api.CodeNotMounted, api.ExitNotFound
	case errors.Is(err, mounter.ErrTimeout):
		code = api.CodeTimeout
	}
	var me *mounter.Error
	if !errors.As(err, &me) {
		return problem.Of(err, dir)
	}
	what := me.What
	if code == api.CodeMount && me.Err != nil { // nobody knows why, so the system's own words may help
		what = strings.TrimSuffix(what, ".") + ": " + strings.TrimRight(strings.Join(strings.Fields(me.Err.Error()), " "), ".") + "."
	}
	means := fmt.Sprintf("The drive %s cannot be mounted at %s.", name, dir)
	switch {
	case code == api.CodeNotMounted:
		means = ""
	case me.Op == "unmount":
		means = fmt.Sprintf("The drive %s stays mounted at %s.", name, dir)
	}
	return problem.New(exit, code, what, means, me.Do)
}
