package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

// lines writes a menu as a person sees it.
func lines(t Tray) string {
	var s []string
	for _, i := range t.Items {
		if i.Label == "" {
			s = append(s, "--")
			continue
		}
		s = append(s, i.Label)
	}
	return strings.Join(s, "\n")
}

func TestTrayMenu(t *testing.T) {
	m := newModel(t,
		api.Drive{Name: "gdrive", State: api.NeedsYou, Problem: &api.Problem{Code: "auth", What: "Sign in again."}},
		api.Drive{Name: "hacker-news", State: api.Mounted},
		api.Drive{Name: "linux", State: api.Connecting, Step: "list"},
		api.Drive{Name: "nas", State: api.Degraded},
		api.Drive{Name: "photos", State: api.Stopped},
		api.Drive{Name: "s3", State: api.Mounted, Pending: api.Pending{Files: 4}},
		api.Drive{Name: "usb", State: api.Failed, Problem: &api.Problem{What: "The folder is not empty."}},
	)
	v := m.View(noon)
	want := strings.Join([]string{
		"⚠ gdrive – Sign in again.",
		"⚠ usb – The folder is not empty.",
		"What is wrong…",
		"--",
		"● hacker-news",
		"◐ linux – connecting",
		"◌ nas – offline, files kept here",
		"○ photos",
		"↑ s3 – uploading",
		"✕ usb",
		"--",
		"Add drive…",
		"Pause transfers",
		"Unmount all",
		"--",
		"Open window",
		"Settings…",
		"Quit",
	}, "\n")
	if got := lines(v.Tray); got != want {
		t.Errorf("menu:\n%s\nwant:\n%s", got, want)
	}
	verbs := map[string]Verb{}
	for _, i := range v.Tray.Items {
		verbs[i.Label] = i.Verb
	}
	for label, verb := range map[string]Verb{
		"⚠ gdrive – Sign in again.": SignIn, "⚠ usb – The folder is not empty.": Reveal,
		"● hacker-news": Open, "○ photos": Mount, "✕ usb": Mount, "◌ nas – offline, files kept here": Open, "Quit": Quit,
	} {
		if verbs[label] != verb {
			t.Errorf("%q does %s, want %s", label, verbs[label], verb)
		}
	}
	if want := "Moorage: 7 drives · 3 mounted · 4 files uploading · 2 need you"; v.Tray.Tooltip != want {
		t.Errorf("tooltip %q, want %q", v.Tray.Tooltip, want)
	}
}

func TestTrayMenuStaysWhileNumbersMove(t *testing.T) {
	d := api.Drive{Name: "s3", State: api.Mounted, Pending: api.Pending{Files: 4, Bytes: 1000}}
	m := newModel(t, d)
	before := m.View(noon).Tray
	d.Pending, d.Cache.Used, d.Revision = api.Pending{Files: 3, Bytes: 10}, 5, "abc"
	changed(m, d)
	after := m.View(noon).Tray
	if !slices.Equal(before.Items, after.Items) {
		t.Errorf("menu changed:\n%s\nto:\n%s", lines(before), lines(after))
	}
	if before.Tooltip == after.Tooltip {
		t.Error("the tooltip did not count down")
	}
}

func TestTrayMenuWithoutDrives(t *testing.T) {
	if got := lines(newModel(t).View(noon).Tray); got != "Add drive…\n--\nOpen window\nSettings…\nQuit" {
		t.Errorf("menu:\n%s", got)
	}
}

func TestTrayMenuOfManyDrivesShowsThoseInUse(t *testing.T) {
	var drives []api.Drive
	for i := range 12 {
		drives = append(drives, api.Drive{Name: fmt.Sprintf("drive-%02d", i), State: api.Stopped})
	}
	drives[10].State, drives[11].State = api.Mounted, api.Connecting
	menu := lines(newModel(t, drives...).View(noon).Tray)
	for _, want := range []string{"○ drive-00\n", "○ drive-05\n", "● drive-10\n◐ drive-11 – connecting\nAll drives (12)…\n--"} {
		if !strings.Contains(menu, want) {
			t.Errorf("menu lacks %q:\n%s", want, menu)
		}
	}
	if strings.Contains(menu, "drive-06") {
		t.Errorf("menu is too long:\n%s", menu)
	}
}

func TestTrayMenuCutsLongTexts(t *testing.T) {
	long := strings.Repeat("ä", 300)
	v := newModel(t, api.Drive{Name: long, State: api.Failed, Problem: &api.Problem{What: long}}).View(noon)
	for _, i := range v.Tray.Items {
		if n := len([]rune(i.Label)); n > 100 {
			t.Errorf("a line of %d characters", n)
		}
	}
	if i := v.Tray.Items[0]; i.Drive != long {
		t.Error("the item lost its drive")
	}
}

func TestTrayIcon(t *testing.T) {
	for _, c := range []struct {
		drives []api.Drive
		want   Light
	}{
		{nil, Idle},
		{[]api.Drive{{State: api.Stopped}}, Idle},
		{[]api.Drive{{State: api.Mounted}}, Idle},
		{[]api.Drive{{State: api.Mounted, Pending: api.Pending{Files: 1}}}, Working},
		{[]api.Drive{{State: api.Connecting}}, Working},
		{[]api.Drive{{State: api.Degraded}}, Offline},
		{[]api.Drive{{State: api.NeedsYou}}, Attention},
		{[]api.Drive{{State: api.Failed}}, Attention},
	} {
		if got := newModel(t, c.drives...).View(noon).Tray.Light; got != c.want {
			t.Errorf("%+v: %s, want %s", c.drives, got, c.want)
		}
	}
	m := newModel(t, api.Drive{Name: "d", State: api.Mounted})
	m.Lost(api.Problem{What: "Away."})
	v := m.View(noon)
	if v.Tray.Light != Offline || v.Tray.Items[0].Label != "⚠ The service does not answer" {
		t.Errorf("without the service: %s\n%s", v.Tray.Light, lines(v.Tray))
	}
}

func TestBannerWhileTheServiceStarts(t *testing.T) {
	m := newModel(t)
	*m = *New(m.texts, "")
	if v := m.View(noon); v.Banner.Tone != Busy || v.Tray.Light != Working {
		t.Errorf("waiting: %+v", v)
	}
	m.Starting()
	if b := m.View(noon).Banner; b.What != "Starting the Moorage service…" || b.Tone != Busy {
		t.Errorf("starting: %+v", b)
	}
}
