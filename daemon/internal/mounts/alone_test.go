package mounts_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/internal/mounts"
	"github.com/moorage/moorage/daemon/internal/state"
	"github.com/moorage/moorage/mounter"
)

// lonely is a Mounter of one mount.
type lonely struct {
	mounted bool
	plain   error // what an unmount without force fails with
	gone    bool  // though it fails, the mount goes
	asked   []string
}

var alonePlace = state.Mount{Dir: "/home/u/Moorage/go", Export: "/" + strings.Repeat("0", 32) + "/go"}

func (l *lonely) Mount(context.Context, mounter.Spec) error { panic("nothing is mounted") }

func (l *lonely) Unmount(_ context.Context, dir string, force bool) error {
	l.asked = append(l.asked, fmt.Sprint(dir, force))
	if force || l.plain == nil {
		l.mounted = false
		return nil
	}
	l.mounted = !l.gone
	return l.plain
}

func (l *lonely) List(context.Context) ([]mounter.Mount, error) {
	if !l.mounted {
		return nil, nil
	}
	return []mounter.Mount{{Dir: alonePlace.Dir, Export: alonePlace.Export}}, nil
}

func TestUnmountAlone(t *testing.T) {
	busy := func(who ...string) error {
		return &mounter.Error{Op: "unmount", Dir: alonePlace.Dir, Kind: mounter.ErrBusy, What: "Files are open.", Who: who}
	}
	late := &mounter.Error{Op: "unmount", Dir: alonePlace.Dir, Kind: mounter.ErrTimeout, What: "Not in time."}
	plain, forced := alonePlace.Dir+"false", alonePlace.Dir+"true"
	for name, c := range map[string]struct {
		l     lonely
		arg   string
		force bool
		code  string
		asked []string
	}{
		"nobody uses it":       {l: lonely{mounted: true}, asked: []string{plain}},
		"by its folder":        {l: lonely{mounted: true}, arg: alonePlace.Dir, asked: []string{plain}},
		"somebody uses it":     {l: lonely{mounted: true, plain: busy("vim")}, code: api.CodeBusy, asked: []string{plain}},
		"by force":             {l: lonely{mounted: true, plain: busy("vim")}, force: true, asked: []string{plain, forced}},
		"somebody waits in it": {l: lonely{mounted: true, plain: busy()}, asked: []string{plain, forced}},
		"it takes too long":    {l: lonely{mounted: true, plain: late}, asked: []string{plain, forced}},
		"it goes all the same": {l: lonely{mounted: true, plain: late, gone: true}, asked: []string{plain}},
		"not mounted":          {code: api.CodeNotMounted},
		"no drive":             {l: lonely{mounted: true}, arg: "other", code: api.CodeNoDrive},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := state.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			st, err := state.New(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			st.Name, st.Mount = "go", &alonePlace
			if err := store.Save(st); err != nil {
				t.Fatal(err)
			}
			arg := c.arg
			if arg == "" {
				arg = "go"
			}
			_, err = mounts.UnmountAlone(t.Context(), store, &c.l, arg, []string{arg}, c.force)
			if code(err) != c.code || !slices.Equal(c.l.asked, c.asked) {
				t.Errorf("%v after %q, want %q after %q", err, c.l.asked, c.code, c.asked)
			}
			if c.code == "" && c.l.mounted {
				t.Error("it is mounted still")
			}
			if again, err := store.Load(st.ID); err != nil || again.Mount == nil {
				t.Errorf("the service's state is %+v, %v", again, err)
			}
		})
	}
}
