package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/state"
)

// ourExport is the path of a drive of a service: a token and a name.
var ourExport = regexp.MustCompile(`^/[0-9a-f]{32}/[^/]+$`)

// mounts looks for mounts that no drive belongs to any more. Touching one hangs.
func (d *Doctor) mounts(ctx context.Context, c *api.Check) {
	dead, waiting, err := d.dead(ctx)
	switch {
	case err != nil:
		*c = failed(*c, err)
	case len(dead) > 0:
		c.State, c.Fix = api.CheckBad, fixMounts
		c.Detail = "Nobody serves what is mounted at " + list(dead) + "; programs that look there hang."
		c.Remedy = "Take it away: umount -f -l " + dead[0] + " (as root)."
	case waiting > 0:
		c.State, c.Detail = api.CheckNote, count(waiting, "drive")+" mounted by a service that was killed."
		c.Remedy = "Start the service, which goes on with them: moorage service start"
	default:
		c.Detail = "Each has a drive."
	}
}

// dead are the folders of mounts that look like ours and belong to no drive. waiting is
// how many belong to a drive of a service that does not run.
func (d *Doctor) dead(ctx context.Context) (dirs []string, waiting int, err error) {
	if d.o.Places.Mounts == "" {
		return nil, 0, nil
	}
	table, err := d.o.Table(ctx)
	if err != nil {
		return nil, 0, err
	}
	known, err := d.known()
	if err != nil {
		return nil, 0, err
	}
	at := d.o.Places.Mounts
	if real, err := filepath.EvalSymlinks(at); err == nil {
		at = real
	}
	for _, m := range table {
		if m.Host != "127.0.0.1" || m.Port == 0 || !ourExport.MatchString(m.Export) {
			continue
		}
		if known[m.Dir] {
			if d.o.Drives == nil {
				waiting++
			}
			continue
		}
		if filepath.Dir(m.Dir) == at && !listens(ctx, m.Port) {
			dirs = append(dirs, m.Dir)
		}
	}
	return dirs, waiting, nil
}

// known are the folders of drives that there are.
func (d *Doctor) known() (map[string]bool, error) {
	dirs := make(map[string]bool)
	if d.o.Drives != nil {
		l, err := d.o.Drives()
		for _, dr := range l {
			dirs[dr.Dir] = true
			if real, err := filepath.EvalSymlinks(filepath.Dir(dr.Dir)); err == nil {
				dirs[filepath.Join(real, filepath.Base(dr.Dir))] = true
			}
		}
		return dirs, err
	}
	if _, err := os.Stat(d.o.Places.Drives()); err != nil {
		return dirs, nil // there never was one
	}
	store, err := state.Open(d.o.Places.Drives())
	if err != nil {
		return nil, err
	}
	ids, err := store.IDs()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if st, err := store.Load(id); err == nil && st.Mount != nil {
			dirs[st.Mount.Dir] = true
		}
	}
	return dirs, nil
}

// listens tells whether somebody serves the port.
func listens(ctx context.Context, port uint16) bool {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func (d *Doctor) removeMounts(ctx context.Context) (string, error) {
	dirs, _, err := d.dead(ctx)
	if err != nil {
		return "", err
	}
	var did []string
	var errs []error
	for _, dir := range dirs {
		if err := d.o.Unmount(ctx, dir); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", dir, err))
			continue
		}
		_ = os.Remove(dir) // stays if somebody put something into it
		did = append(did, dir)
	}
	return "Unmounted " + list(did) + ".", errors.Join(errs...)
}
