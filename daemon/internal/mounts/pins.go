package mounts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/nfs"
)

// Pinner keeps files and folders of a drive on this computer. Paths are
// slash-separated and relative to the drive; "" is all of it. Its methods are not
// called during Source.Close, or fail.
type Pinner interface {
	// Pin returns when it is stored what is to be kept. The error matches
	// nfs.ErrNoEnt or nfs.ErrNotDir if the path leads to nothing.
	Pin(ctx context.Context, path string) error
	// Unpin fails with ErrNotPinned, or a *CoveredError, if the path has no pin of
	// its own.
	Unpin(ctx context.Context, path string) error
	// Pins lists what is pinned, by path. It asks no remote.
	Pins() []Pin
}

// Pin is one thing that is kept.
type Pin struct {
	Path        string
	Folder      bool
	State       api.PinState
	Here, Total int64
	Files       int64
	Since       time.Time
	Err         error // of PinFailed
}

// ErrNotPinned means that there is no pin to be taken away.
var ErrNotPinned = errors.New("not pinned")

// CoveredError means that a path stays pinned with the folder By.
type CoveredError struct{ By string }

// Error says by what.
func (e *CoveredError) Error() string { return fmt.Sprintf("pinned with the folder %q", e.By) }

// pins lists what is pinned of d; nothing while it is not mounted.
func (d *drive) pins() []api.Pin {
	st := d.settings()
	var l []Pin
	d.use(func(s *Source) {
		if s.Pinner != nil {
			l = s.Pinner.Pins()
		}
	})
	out := make([]api.Pin, 0, len(l))
	for _, p := range l {
		out = append(out, api.Pin{Path: p.Path, Folder: p.Folder, State: p.State, Here: p.Here, Total: p.Total, Files: p.Files, Since: p.Since,
			Problem: pinProblem(p, st.Name, st.URL)})
	}
	return out
}

// pinProblem is why not all of a pin is here.
func pinProblem(p Pin, name, url string) *api.Problem {
	switch p.State {
	case api.PinNoRoom:
		return &api.Problem{Code: api.CodePinRoom, What: fmt.Sprintf("%s does not fit on this computer: %s of %s are here.", pinName(p.Path), amount(p.Here), amount(p.Total)),
			Means: "The rest can be read only while the remote can be reached.",
			Do:    fmt.Sprintf("Free some space, or unpin something: moorage unpin %s PATH.", name)}
	case api.PinFailed:
		if p.Err == nil {
			return nil
		}
		q := problem.Of(p.Err, url).Problem
		q.Means = fmt.Sprintf("Not all of %s is on this computer.", pinName(p.Path))
		return &q
	}
	return nil
}

func pinName(path string) string {
	if path == "" {
		return "The drive"
	}
	return strconv.Quote(path)
}

func byName(path string) string {
	if path == "" {
		return "the whole drive"
	}
	return strconv.Quote(path)
}

// amount is a number of bytes in words.
func amount(n int64) string {
	const unit = 1 << 10
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for ; f >= unit && i < 4; i++ {
		f /= unit
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[i])
}

// Pins lists what is kept of a drive on this computer.
func (m *Manager) Pins(_ context.Context, name string) ([]api.Pin, error) {
	d, err := m.find(name)
	if err != nil {
		return nil, err
	}
	return d.pins(), nil
}

// Pin keeps a path of a drive on this computer. It returns when that is stored,
// and not when all is here.
func (m *Manager) Pin(ctx context.Context, name, path string) (api.Pin, error) {
	path = strings.Trim(path, "/")
	d, err := m.pinner(name, func(p Pinner) error { return p.Pin(ctx, path) })
	if err != nil {
		return api.Pin{}, d.pinTrouble(err, name, path)
	}
	for _, p := range d.pins() {
		if p.Path == path {
			return p, nil
		}
	}
	return api.Pin{Path: path, State: api.PinFetching}, nil // it was renamed or unmounted meanwhile
}

// Unpin ends that. What was kept goes when there is need for room.
func (m *Manager) Unpin(ctx context.Context, name, path string) error {
	path = strings.Trim(path, "/")
	d, err := m.pinner(name, func(p Pinner) error { return p.Unpin(ctx, path) })
	if err != nil {
		return d.pinTrouble(err, name, path)
	}
	return nil
}

// errNotOpen and errNoPins are why a drive has nothing to pin.
var (
	errNotOpen = errors.New("not mounted")
	errNoPins  = errors.New("nothing to be fetched")
)

func (m *Manager) pinner(name string, do func(Pinner) error) (*drive, error) {
	d, err := m.find(name)
	if err != nil {
		return nil, err
	}
	var p Pinner
	if !d.use(func(s *Source) { p = s.Pinner }) {
		return d, errNotOpen
	}
	if p == nil {
		return d, errNoPins
	}
	return d, do(p)
}

// pinTrouble explains why a path cannot be pinned or unpinned. d is nil if there
// is no such drive.
func (d *drive) pinTrouble(err error, name, path string) error {
	var covered *CoveredError
	switch {
	case d == nil:
		return err
	case errors.Is(err, errNotOpen):
		return problem.New(api.ExitFailed, api.CodeNotMounted, fmt.Sprintf("%q is not mounted, so nothing of it can be pinned or unpinned.", name),
			"What is pinned stays so.", fmt.Sprintf("Mount it: moorage mount %s.", name))
	case errors.Is(err, errNoPins):
		return problem.New(api.ExitNotFound, api.CodeUnsupported, fmt.Sprintf("All of %q is on this computer.", name), "There is nothing to pin.", "")
	case errors.Is(err, ErrNotPinned):
		return problem.New(api.ExitNotFound, api.CodeNotPinned, fmt.Sprintf("%s is not pinned.", pinName(path)), "", fmt.Sprintf("See what is: moorage status %s.", name))
	case errors.As(err, &covered):
		return problem.New(api.ExitFailed, api.CodeNotPinned, fmt.Sprintf("%s has no pin of its own: it is kept with %s.", pinName(path), byName(covered.By)),
			"", fmt.Sprintf("Unpin that: moorage unpin %s %s.", name, covered.By))
	case errors.Is(err, nfs.ErrNoEnt), errors.Is(err, nfs.ErrNotDir):
		return problem.New(api.ExitNotFound, api.CodeNoFile, fmt.Sprintf("There is no %s on %q.", path, name), "", "Check the spelling; paths begin at the drive's folder.")
	}
	return problem.Of(err, d.settings().URL)
}

// pinsFull is what a mounted drive shows while not all that is pinned fits.
func pinsFull(name string) *api.Problem {
	return &api.Problem{Code: api.CodePinRoom, What: "What is pinned does not fit on this computer.",
		Means: "A part of it can be read only while the remote can be reached.",
		Do:    fmt.Sprintf("See what with moorage status %s; then free some space, or unpin something with moorage unpin %s PATH.", name, name)}
}
