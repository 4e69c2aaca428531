package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/daemon/api"
)

// hears lists what a person is told as of now.
func hears(m *Model, at time.Time) (told []string) {
	for _, n := range m.News(at) {
		told = append(told, n.Title+": "+n.Text)
	}
	return told
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestAtFirstOnlyWhatNeedsAPersonIsTold(t *testing.T) {
	m := newModel(t,
		api.Drive{Name: "a", State: api.NeedsYou, Problem: &api.Problem{Code: api.CodeAuth, What: "Refused.", Do: "Sign in."}},
		api.Drive{Name: "b", State: api.Failed, Problem: &api.Problem{Code: api.CodeLost, What: "Gone."}},
		api.Drive{Name: "c", State: api.Degraded, Problem: &api.Problem{Code: api.CodeOffline, What: "Away."}},
		api.Drive{Name: "d", State: api.Mounted, Pending: api.Pending{Files: 2, Parked: 2}},
	)
	expect(t, hears(m, noon), "a: Refused. Sign in.", "d: 2 changes wait for you before they can be uploaded.")
	expect(t, hears(m, noon))
}

func TestACauseIsToldOnceUntilItIsOver(t *testing.T) {
	m := newModel(t, api.Drive{Name: "a", State: api.Mounted})
	expect(t, hears(m, noon))
	bad := api.Drive{Name: "a", State: api.NeedsYou, Problem: &api.Problem{Code: api.CodeAuth, What: "Refused."}}
	changed(m, bad)
	expect(t, hears(m, noon), "a: Refused.")
	// Tried again in vain, by itself or by a new service: nothing new.
	changed(m, api.Drive{Name: "a", State: api.Connecting})
	expect(t, hears(m, noon))
	m.Lost(api.Problem{What: "Gone."})
	expect(t, hears(m, noon))
	told(m, bad)
	expect(t, hears(m, noon))
	// Another cause is.
	changed(m, api.Drive{Name: "a", State: api.Failed, Problem: &api.Problem{Code: api.CodeMount, What: "No mount."}})
	expect(t, hears(m, noon), "a: No mount.")
	changed(m, api.Drive{Name: "a", State: api.Mounted})
	expect(t, hears(m, noon))
	changed(m, bad)
	expect(t, hears(m, noon), "a: Refused.")
}

func TestDiskFullOfAMountedDriveIsTold(t *testing.T) {
	m := newModel(t, api.Drive{Name: "a", State: api.Mounted})
	hears(m, noon)
	changed(m, api.Drive{Name: "a", State: api.Degraded, Problem: &api.Problem{Code: api.CodeOffline, What: "Away."}})
	expect(t, hears(m, noon))
	changed(m, api.Drive{Name: "a", State: api.Mounted, Problem: &api.Problem{Code: api.CodeDiskFull, What: "Full.", Do: "Free some space."}})
	expect(t, hears(m, noon), "a: Full. Free some space.")
}

func TestEndOfALongUploadIsTold(t *testing.T) {
	for _, c := range []struct {
		files int
		takes time.Duration
		told  bool
	}{{1, 9 * time.Second, false}, {1, 11 * time.Second, true}, {10, time.Second, false}, {11, time.Second, true}} {
		t.Run(fmt.Sprint(c.files, c.takes), func(t *testing.T) {
			d := api.Drive{Name: "a", State: api.Mounted}
			m := newModel(t, d)
			hears(m, noon)
			d.Pending.Files = c.files
			changed(m, d)
			expect(t, hears(m, noon))
			d.Pending.Files = 1
			changed(m, d)
			expect(t, hears(m, noon.Add(c.takes)))
			d.Pending.Files = 0
			changed(m, d)
			var want []string
			if c.told {
				want = []string{"a: Everything is uploaded."}
			}
			expect(t, hears(m, noon.Add(c.takes)), want...)
			expect(t, hears(m, noon.Add(c.takes)))
		})
	}
}

// TestUnmountIsNoEndOfAnUpload: what waits, waits for the next mount.
func TestUnmountIsNoEndOfAnUpload(t *testing.T) {
	d := api.Drive{Name: "a", State: api.Mounted, Pending: api.Pending{Files: 50}}
	m := newModel(t, d)
	hears(m, noon)
	d.State = api.Stopped
	changed(m, d)
	expect(t, hears(m, noon))
	d.State, d.Pending.Files = api.Mounted, 0
	changed(m, d)
	expect(t, hears(m, noon.Add(time.Hour)))
}

func TestConflictsAreTold(t *testing.T) {
	d := api.Drive{Name: "a", State: api.Mounted}
	m := newModel(t, d)
	hears(m, noon)
	list := []api.Upload{
		{Path: "old copy", State: api.UploadConflict, Since: noon.Add(-time.Hour)},
		{Path: "new copy", State: api.UploadConflict, Since: noon.Add(time.Second)},
		{Path: "fine", State: api.UploadDone, Since: noon.Add(time.Second)},
	}
	m.Ended("a", list)
	m.Watch("a")
	whole := d
	whole.Uploads = list
	m.Whole(whole)
	expect(t, hears(m, noon.Add(2*time.Second)), "a: Somebody else changed the same file. Yours is kept beside it as new copy.")
	m.Watch("")
	m.Ended("a", nil)
	expect(t, hears(m, noon.Add(3*time.Second)))
	m.Ended("a", list)
	expect(t, hears(m, noon.Add(4*time.Second)))
}

func TestCrashesAreTold(t *testing.T) {
	m := newModel(t)
	m.Crashed(true)
	if got := m.News(noon); len(got) != 1 || got[0].Title != "Moorage has crashed" {
		t.Errorf("%+v", got)
	}
	expect(t, hears(m, noon))
}

func TestBacklog(t *testing.T) {
	m := newModel(t,
		api.Drive{Name: "a", State: api.Mounted, Pending: api.Pending{Files: 3, Parked: 1, Bytes: 1000}},
		api.Drive{Name: "b", State: api.Stopped, Pending: api.Pending{Files: 7}}, // for the next mount
		api.Drive{Name: "c", State: api.Degraded, Pending: api.Pending{Files: 1, Bytes: 500}},
	)
	want := Backlog{Files: 3, Text: "3 files are not on their remotes yet, 1.5 kB. A remote is away, so this may take long."}
	if got := m.View(noon).Backlog; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	told(m, api.Drive{Name: "a", State: api.Mounted, Pending: api.Pending{Files: 1, Parked: 1}})
	if got := m.View(noon).Backlog; got != (Backlog{}) {
		t.Errorf("what waits for a person would keep the app: %+v", got)
	}
}

// TestNewsIsNoScript: what another user of a remote calls a file is not run, nor
// taken for markup.
func TestNewsIsNoScript(t *testing.T) {
	bad := News{`a"; calc; "$(calc)` + "`n", "“$(calc)” <img src=x>&amp; C:\\x\nÄpfel 東京 1 %s \x00\u202e" + strings.Repeat("z", 500)}
	got := bad.Plain()
	for _, s := range []string{got.Title, got.Text} {
		if i := strings.IndexAny(s, "$`\"\\<>&|{}\n\x00“”„\u202e"); i >= 0 {
			t.Errorf("%q has %q in it", s, s[i:])
		}
	}
	if !strings.HasPrefix(got.Text, "'_(calc)' _img src=x__amp; C:/x Äpfel 東京 1 %s __zzz") || len([]rune(got.Text)) > 240 {
		t.Errorf("%q", got.Text)
	}
}
