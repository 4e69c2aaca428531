package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/nfs"
	"github.com/moorage/moorage/providers"
)

// publishLink makes a symbolic link.
func (d *Drive) publishLink(ctx context.Context, n nodes.Node) error {
	maker, ok := d.p.(providers.Symlinker)
	if !ok {
		return fmt.Errorf("%w: symbolic links", providers.ErrUnsupported)
	}
	target, err := d.targetHere(n.ID)
	if err != nil {
		return err
	}
	at, err := d.path(n.ID)
	if err != nil {
		return errNow
	}
	var e providers.Entry
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		e, err = maker.Symlink(ctx, at, target)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		// It may be ours, made by a call whose answer was lost.
		there, got, lerr := d.linkAt(ctx, at)
		switch {
		case lerr != nil:
			return d.trouble(n, lerr)
		case got == target:
			return d.complete(n.ID, nil, 0, n.Parent, n.Name, there)
		}
		return d.meetAt(ctx, n, at)
	}
	if err != nil {
		return d.meetOr(ctx, n, at, err)
	}
	return d.complete(n.ID, nil, 0, n.Parent, n.Name, e)
}

// linkAt reads a symbolic link of the remote; the target is "" if it is none.
func (d *Drive) linkAt(ctx context.Context, at string) (e providers.Entry, target string, err error) {
	err = d.health.put(ctx, func(ctx context.Context) (err error) {
		if e, err = d.p.Stat(ctx, at); err != nil || e.Mode.Type() != fs.ModeSymlink {
			return err
		}
		o, err := d.p.Open(ctx, at, e.Version)
		if err != nil {
			return err
		}
		b := make([]byte, min(o.Entry().Size, nfs.MaxTarget))
		_, err = (&objectSource{ctx, o}).ReadAt(b, 0)
		target = string(b)
		return errors.Join(err, o.Close())
	})
	if changed(err) {
		err = nil
	}
	return e, target, err
}

// objectSource is an object of the remote, to be put elsewhere on it.
type objectSource struct {
	ctx context.Context
	o   providers.Object
}

func (s *objectSource) Size() int64 { return s.o.Entry().Size }

func (s *objectSource) ReadAt(p []byte, off int64) (int, error) {
	want := min(int64(len(p)), s.Size()-off)
	if want <= 0 {
		return 0, io.EOF
	}
	r, err := s.o.ReadRange(s.ctx, off, want)
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r, p[:want])
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, r.Close()); err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}
