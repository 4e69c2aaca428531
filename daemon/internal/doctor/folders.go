package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moorage/moorage/daemon/api"
)

// folder is one that Moorage keeps something in.
type folder struct {
	id, name, path string
	private        bool // closed to other users
	there          bool // a service that runs has made it
}

func (d *Doctor) places() []folder {
	p, runs := d.o.Places, d.o.Drives != nil
	all := []folder{
		{"folder-state", "folder of the state", p.State, true, runs},
		{"folder-cache", "folder of the cache", p.Cache, true, false},
		{"folder-config", "folder of the config", filepath.Dir(p.Config), false, false},
	}
	if p.Mounts != "" {
		all = append(all, folder{"folder-mounts", "folder of the drives", p.Mounts, false, false})
	}
	if filepath.IsAbs(d.o.Socket) { // no pipe
		all = append(all, folder{"folder-socket", "folder of the socket", filepath.Dir(d.o.Socket), true, runs})
	}
	return all
}

// What is wrong with a folder that mend can make right.
var (
	errMissing = errors.New("it is not there")
	errOpen    = errors.New("other users can get in")
	errShut    = errors.New("its own modes keep you out")
)

func (d *Doctor) folders(context.Context) []api.Check {
	var all []api.Check
	for _, f := range d.places() {
		c := api.Check{ID: f.id, Name: f.name, State: api.CheckOK, Detail: f.path}
		err := f.look()
		switch {
		case err == nil:
		case errors.Is(err, errMissing) && !f.there:
			if err := usable(existing(f.path)); err == nil {
				c.Detail = f.path + " is made when it is needed."
				break
			}
			c.State, c.Detail, c.Remedy = api.CheckBad, f.path+" cannot be made.", "Make "+existing(f.path)+" writable."
		case errors.Is(err, errMissing), errors.Is(err, errOpen), errors.Is(err, errShut):
			c.State, c.Detail, c.Fix = api.CheckBad, f.path+": "+err.Error()+".", fixFolders
			c.Remedy = "Run: mkdir -p " + f.path + " && chmod 700 " + f.path
		default:
			c.State, c.Detail, c.Remedy = api.CheckBad, f.path+": "+err.Error()+".", "Make it a folder of yours that can be written to, or move it away."
		}
		all = append(all, c)
	}
	return all
}

// existing is path, or the nearest folder above that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) == path {
			return path
		}
		path = filepath.Dir(path)
	}
}

// mendFolders makes folders that should be there, and gives those that are this user's
// the right modes.
func (d *Doctor) mendFolders(context.Context) (string, error) {
	var did []string
	var errs []error
	for _, f := range d.places() {
		var err error
		switch why := f.look(); {
		case errors.Is(why, errMissing) && f.there:
			err = os.MkdirAll(f.path, 0o700)
		case errors.Is(why, errOpen), errors.Is(why, errShut):
			err = os.Chmod(f.path, 0o700)
		default:
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		did = append(did, f.path)
	}
	return "Made these folders yours alone: " + list(did) + ".", errors.Join(errs...)
}
