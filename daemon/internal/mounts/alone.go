package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/problem"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/mounter"
)

// The bounds of UnmountAlone: both steps, and a look before and between, are done in
// well below ten seconds.
const (
	plainAlone  = 2 * time.Second
	forcedAlone = 4 * time.Second
)

// UnmountAlone takes the mount of a drive away for a service that does not answer, by
// the drive's name or one of dirs. It fails with api.CodeBusy while programs that can
// be named have files of it open, unless force is set. Whoever only waits for the
// service to answer is no such program: for him it is the way out.
//
// The drive's state is the service's, and left alone: a service that goes on finds in
// the mount table that the mount is gone.
func UnmountAlone(ctx context.Context, store *state.Store, m Mounter, name string, dirs []string, force bool) (state.Drive, error) {
	st, err := findMounted(ctx, store, m, name, dirs)
	if err != nil {
		return state.Drive{}, err
	}
	// What has been written and is not open any more is on its way to the service, which
	// may be slow and not dead.
	err = unmountWithin(ctx, m, st, false, plainAlone)
	var e *mounter.Error
	if errors.As(err, &e) && errors.Is(err, mounter.ErrBusy) && len(e.Who) > 0 && !force {
		return st, problem.New(api.ExitFailed, api.CodeBusy, e.What, fmt.Sprintf("The service does not answer, and the drive %s stays mounted at %s.", st.Name, e.Dir),
			fmt.Sprintf("Close them, or take the drive away from them: moorage unmount %s --force", st.Name))
	}
	if err != nil {
		err = unmountWithin(ctx, m, st, true, forcedAlone)
	}
	if err != nil {
		return st, mountProblem(err, st.Name, st.Mount.Dir)
	}
	return st, nil
}

func unmountWithin(ctx context.Context, m Mounter, st state.Drive, force bool, d time.Duration) error {
	short, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := m.Unmount(short, st.Mount.Dir, force)
	if err == nil || errors.Is(err, mounter.ErrNotMounted) {
		return nil
	}
	// What the system does not finish in time may have taken the mount away by now.
	if table, terr := m.List(ctx); terr == nil && !inTable(table, *st.Mount, st.Port) {
		return nil
	}
	return err
}

// findMounted finds the state of the drive and makes sure that it is mounted.
func findMounted(ctx context.Context, store *state.Store, m Mounter, name string, dirs []string) (state.Drive, error) {
	table, err := m.List(ctx)
	if err != nil {
		return state.Drive{}, err
	}
	ids, err := store.IDs()
	if err != nil {
		return state.Drive{}, err
	}
	known := false
	for _, id := range ids {
		st, err := store.Load(id)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, state.ErrFormat) {
			continue // one that is being removed, or that the service would set aside
		}
		if err != nil {
			return state.Drive{}, err
		}
		if st.Name != name && (st.Mount == nil || !slices.Contains(dirs, st.Mount.Dir)) {
			continue
		}
		if known = true; st.Mount != nil && inTable(table, *st.Mount, st.Port) {
			return st, nil
		}
	}
	if known {
		return state.Drive{}, problem.New(api.ExitNotFound, api.CodeNotMounted, fmt.Sprintf("%s is not mounted.", name), "", "")
	}
	return state.Drive{}, noDrive(name)
}
