package model

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

var noon = time.Date(2026, 3, 5, 12, 30, 0, 0, time.UTC)

func newModel(t testing.TB, drives ...api.Drive) *Model {
	t.Helper()
	texts, err := assets.English()
	if err != nil {
		t.Fatal(err)
	}
	m := New(texts, "/home/ann/")
	told(m, drives...)
	return m
}

// told gives m one whole stream of events up to ready.
func told(m *Model, drives ...api.Drive) {
	m.Opened()
	for _, d := range drives {
		m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d})
	}
	m.Apply(api.Event{Kind: api.Ready})
}

func changed(m *Model, d api.Drive) { m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d}) }

func names(v View) string {
	var s []string
	for _, r := range v.Rows {
		s = append(s, r.Name)
	}
	return strings.Join(s, " ")
}

func TestRowOfEveryState(t *testing.T) {
	auth := &api.Problem{Code: "auth", What: "The server refused the token.", Means: "No files.", Do: "Sign in again."}
	full := &api.Problem{Code: "dir-not-empty", What: "The folder is not empty.", Do: "Choose another."}
	for _, c := range []struct {
		name    string
		drive   api.Drive
		status  string
		tone    Tone
		working bool
		primary Verb
		toggle  Verb
		what    string
	}{
		{"stopped", api.Drive{State: api.Stopped}, "Not mounted", Quiet, false, Mount, Mount, ""},
		{"connecting", api.Drive{State: api.Connecting}, "Connecting…", Busy, true, Unmount, Unmount, ""},
		{"sign-in", api.Drive{State: api.Connecting, Step: "sign-in"}, "Signing in…", Busy, true, Unmount, Unmount, ""},
		{"list", api.Drive{State: api.Connecting, Step: "list"}, "Reading the list of files…", Busy, true, Unmount, Unmount, ""},
		{"mount", api.Drive{State: api.Connecting, Step: "mount"}, "Mounting…", Busy, true, Unmount, Unmount, ""},
		{"the remote is away", api.Drive{State: api.Connecting, Step: "wait"}, "Waiting for the remote…", Warn, false, Unmount, Unmount, ""},
		{"a step of a newer service", api.Drive{State: api.Connecting, Step: "warp"}, "Connecting…", Busy, true, Unmount, Unmount, ""},
		{"mounted", api.Drive{State: api.Mounted, Dir: "/home/ann/Moorage/d", ReadOnly: true, Cache: api.Cache{Used: 1_234_567}},
			"Mounted at ~/Moorage/d · read-only · 1.2 MB kept here", Good, false, Open, Unmount, ""},
		{"uploading", api.Drive{State: api.Mounted, Pending: api.Pending{Files: 4, Bytes: 12_400_000}},
			"Uploading 4 files, 12.4 MB left", Busy, true, Open, Unmount, ""},
		{"uploading one", api.Drive{State: api.Mounted, Pending: api.Pending{Files: 1, Bytes: 10}},
			"Uploading 1 file, 10 B left", Busy, true, Open, Unmount, ""},
		{"degraded", api.Drive{State: api.Degraded, Since: noon.Add(-time.Hour)},
			"Offline since 11:30: files kept here can be read", Warn, false, Open, Unmount, ""},
		{"degraded since yesterday", api.Drive{State: api.Degraded, Since: noon.Add(-24 * time.Hour)},
			"Offline since 4 Mar 12:30: files kept here can be read", Warn, false, Open, Unmount, ""},
		{"login refused", api.Drive{State: api.NeedsYou, Problem: auth}, "Waits for you", Warn, false, SignIn, Mount, auth.What},
		{"failed", api.Drive{State: api.Failed, Problem: full}, "Could not be mounted", Bad, false, Mount, Mount, full.What},
		{"failed login", api.Drive{State: api.Failed, Problem: auth}, "Could not be mounted", Bad, false, SignIn, Mount, auth.What},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.drive.Name = "d"
			r := newModel(t, c.drive).View(noon).Rows[0]
			if r.Status != c.status || r.Tone != c.tone || r.Working != c.working {
				t.Errorf("status %q, tone %d, working %v; want %q, %d, %v", r.Status, r.Tone, r.Working, c.status, c.tone, c.working)
			}
			if r.Primary.Verb != c.primary || r.Primary.Drive != "d" || r.Primary.Label == "" {
				t.Errorf("button %+v, want %s", r.Primary, c.primary)
			}
			if r.Toggle.Verb != c.toggle {
				t.Errorf("toggle %s, want %s", r.Toggle.Verb, c.toggle)
			}
			if r.Notice.What != c.what {
				t.Errorf("notice %+v, want %q", r.Notice, c.what)
			}
			for i, a := range r.Menu {
				if a.Drive != "d" || a.Label == "" || slices.IndexFunc(r.Menu, func(b Action) bool { return b.Verb == a.Verb }) != i {
					t.Errorf("menu item %d: %+v of %+v", i, a, r.Menu)
				}
			}
			if !slices.ContainsFunc(r.Menu, func(a Action) bool { return a.Verb == Remove }) {
				t.Error("the drive cannot be removed")
			}
		})
	}
}

func TestProblemSaysWhatItMeansAndWhatToDo(t *testing.T) {
	p := &api.Problem{Code: "x", What: "What.", Means: "Means.", Do: "Do."}
	n := newModel(t, api.Drive{Name: "d", State: api.Failed, Problem: p}).View(noon).Rows[0].Notice
	if n.What != p.What || n.Means != p.Means || n.Do != p.Do || n.Tone != Bad {
		t.Errorf("notice %+v of %+v", n, p)
	}
}

func TestHomeIsWrittenShortInProblems(t *testing.T) {
	p := &api.Problem{What: "/home/ann/Moorage/d is not empty, /home/annette is.", Do: "Empty /home/ann/Moorage/d."}
	v := newModel(t, api.Drive{Name: "d", State: api.Failed, Problem: p}).View(noon)
	if n := v.Rows[0].Notice; n.What != "~/Moorage/d is not empty, /home/annette is." || n.Do != "Empty ~/Moorage/d." {
		t.Errorf("notice %+v", n)
	}
	if l := v.Tray.Items[0].Label; l != "⚠ d – ~/Moorage/d is not empty, /home/annette is." {
		t.Errorf("tray %q", l)
	}
}

func TestRowsAreInTheOrderOfNamesWhateverTheirState(t *testing.T) {
	m := newModel(t, api.Drive{Name: "beta", State: api.Failed}, api.Drive{Name: "Alpha"}, api.Drive{Name: "alpha"}, api.Drive{Name: "gamma"})
	if got := names(m.View(noon)); got != "Alpha alpha beta gamma" {
		t.Errorf("order %s", got)
	}
	changed(m, api.Drive{Name: "gamma", State: api.Mounted})
	if got := names(m.View(noon)); got != "Alpha alpha beta gamma" {
		t.Errorf("order after a change %s", got)
	}
}

func TestNewStreamReplacesDrivesOnlyWhenItHasToldAll(t *testing.T) {
	m := newModel(t, api.Drive{Name: "gone"}, api.Drive{Name: "kept"})
	m.Lost(api.Problem{What: "Away."})
	if b := m.View(noon).Banner; b.What != "Away." || b.Action.Verb != Reconnect {
		t.Errorf("banner %+v", b)
	}
	m.Opened()
	changed(m, api.Drive{Name: "kept", State: api.Mounted})
	if got := names(m.View(noon)); got != "gone kept" {
		t.Errorf("before ready: %s", got)
	}
	m.Apply(api.Event{Kind: api.Ready})
	v := m.View(noon)
	if got := names(v); got != "kept" || v.Rows[0].Primary.Verb != Open || v.Banner.What != "" {
		t.Errorf("after ready: %s, %+v", got, v)
	}
	m.Apply(api.Event{Kind: api.DriveRemoved, Drive: &api.Drive{Name: "kept"}})
	if got := names(m.View(noon)); got != "" {
		t.Errorf("after removal: %s", got)
	}
	m.Apply(api.Event{Kind: api.DriveChanged}) // without a drive: of no harm
	m.Apply(api.Event{Kind: "later"})
}

func TestRefusalIsShownUntilTheDriveChangesOrItIsDismissed(t *testing.T) {
	m := newModel(t, api.Drive{Name: "d", State: api.Mounted})
	refuse := func() {
		m.Ask("d", Unmount)
		if r := m.View(noon).Rows[0]; r.Status != "Unmounting…" || !r.Working {
			t.Errorf("while asked: %q, %v", r.Status, r.Working)
		}
		m.Answer("d", Unmount, &api.Problem{Code: "busy", What: "Files are open.", Do: "Close them."})
	}
	refuse()
	v := m.View(noon)
	if r := v.Rows[0]; r.Notice.What != "Files are open." || r.Notice.Action.Verb != Force || r.Working {
		t.Errorf("after the refusal: %+v", r)
	}
	if i := v.Tray.Items[0]; i.Label != "⚠ d – Files are open." || i.Verb != Reveal {
		t.Errorf("tray %+v", i)
	}
	changed(m, api.Drive{Name: "d", State: api.Mounted, Cache: api.Cache{Used: 1}})
	if m.View(noon).Rows[0].Notice.What == "" {
		t.Error("a count took the refusal away")
	}
	m.Dismiss("d")
	if n := m.View(noon).Rows[0].Notice; n.What != "" {
		t.Errorf("dismissed, but %+v", n)
	}
	refuse()
	changed(m, api.Drive{Name: "d", State: api.Stopped})
	if n := m.View(noon).Rows[0].Notice; n.What != "" {
		t.Errorf("the drive changed, but %+v", n)
	}
	m.Ask("d", Mount)
	p := api.Problem{What: "No NFS.", Do: "Install it."}
	changed(m, api.Drive{Name: "d", State: api.Failed, Problem: &p})
	m.Answer("d", Mount, &p)
	if n := m.View(noon).Rows[0].Notice; n.What != p.What || n.Action.Verb != "" {
		t.Errorf("told twice: %+v", n)
	}
}

func TestSources(t *testing.T) {
	const rev = "0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct {
		drive api.Drive
		want  string
	}{
		{api.Drive{Kind: "git", URL: "git+https://example.org/a/b.git"}, "example.org/a/b.git"},
		{api.Drive{Kind: "git", URL: "git+https://example.org/a/b.git@" + rev, Revision: rev}, "example.org/a/b.git@01234567"},
		{api.Drive{Kind: "git", URL: "git+ssh://git@example.org/b.git", Revision: "main"}, "git@example.org/b.git · main"},
		{api.Drive{Kind: "hf", URL: "hf://org/model@main", Revision: "main"}, "hf://org/model@main"},
		{api.Drive{Kind: "s3", URL: "s3://b/p?endpoint=https%3A%2F%2Fminio.local%3A9000&region=x"}, "minio.local:9000/b/p"},
		{api.Drive{Kind: "s3", URL: "s3://b"}, "b"},
		{api.Drive{Kind: "folder", URL: "file:///home/ann/Pictures"}, "~/Pictures"},
		{api.Drive{Kind: "folder", URL: "/home/annette"}, "/home/annette"},
		{api.Drive{Kind: "mem", URL: "mem:"}, "In memory, for as long as it is mounted"},
	} {
		c.drive.Name = "d"
		if got := newModel(t, c.drive).View(noon).Rows[0].Source; got != c.want {
			t.Errorf("%s: %q, want %q", c.drive.URL, got, c.want)
		}
	}
}

func TestEveryKindHasAnIcon(t *testing.T) {
	for _, kind := range []string{"folder", "mem", "git", "hf", "s3", "sftp", "webdav", "ftp", "smb", "http", "gdrive", "onedrive",
		"dropbox", "box", "b2", "gcs", "azure", "of-tomorrow"} {
		if _, ok := assets.Icon("kind-" + icon(kind)); !ok {
			t.Errorf("no icon for %s", kind)
		}
	}
}

func TestFilter(t *testing.T) {
	rows := newModel(t,
		api.Drive{Name: "Linux", URL: "git+https://github.com/torvalds/linux.git"},
		api.Drive{Name: "photos", URL: "file:///home/ann/Pictures"}).View(noon).Rows
	for query, want := range map[string]string{
		"": "Linux photos", "LINUX": "Linux", "github torv": "Linux", "ann photos": "photos", "github photos": "",
	} {
		if got := names(View{Rows: Filter(rows, query)}); got != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
}

func TestRowEqual(t *testing.T) {
	d := api.Drive{Name: "d", State: api.Mounted}
	a := newModel(t, d).View(noon).Rows[0]
	if b := newModel(t, d).View(noon.Add(time.Hour)).Rows[0]; !a.Equal(b) {
		t.Error("the same drive looks different")
	}
	d.Auto = true
	if b := newModel(t, d).View(noon).Rows[0]; a.Equal(b) {
		t.Error("a tick in the menu is not seen")
	}
	d.Auto, d.Pending.Files = false, 1
	if b := newModel(t, d).View(noon).Rows[0]; a.Equal(b) {
		t.Error("an upload is not seen")
	}
}

func TestBytes(t *testing.T) {
	english, err := assets.English()
	if err != nil {
		t.Fatal(err)
	}
	german, err := assets.For("de")
	if err != nil {
		t.Fatal(err)
	}
	if got := Bytes(german, 12_400_000); got != "12,4 MB" {
		t.Errorf("in German: %q", got)
	}
	for n, want := range map[int64]string{
		-1: "0 B", 0: "0 B", 999: "999 B", 1000: "1.0 kB", 99_949: "99.9 kB", 99_950: "100 kB", 999_499: "999 kB", 999_500: "1.0 MB",
		1_500_000_000: "1.5 GB", 1<<63 - 1: "9.2 EB",
	} {
		if got := Bytes(english, n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
