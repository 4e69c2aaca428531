package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// stage shows drives, of which one is chosen and all is known, and what change has told
// the model besides.
func (f *fixture) stage(list []api.Drive, chosen string, change func(*model.Model)) {
	m := model.New(f.texts, "/home/ann")
	m.Opened()
	for _, d := range list {
		m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d})
	}
	m.Apply(api.Event{Kind: api.Ready})
	m.Watch(chosen)
	for _, d := range list {
		if d.Uploads == nil {
			d.Uploads = uploads[d.Name]
		}
		m.Whole(d)
	}
	if change != nil {
		change(m)
	}
	f.ui.Show(m.View(noon))
	f.ui.choose(chosen)
}

// chosen is the state of a window in which a drive is chosen.
func chosen(drive string) func(*fixture) {
	return func(f *fixture) { f.stage(drives(), drive, nil) }
}

// changed is that state with a drive that is otherwise than in drives.
func changed(drive string, change func(*api.Drive)) func(*fixture) {
	return func(f *fixture) {
		list := drives()
		i := slices.IndexFunc(list, func(d api.Drive) bool { return d.Name == drive })
		change(&list[i])
		f.stage(list, drive, nil)
	}
}

// told is the state in which the model was told something.
func told(tell func(*model.Model)) func(*fixture) {
	return func(f *fixture) { f.stage(drives(), "gpt-oss-20b", tell) }
}

// then is a state that follows from another one.
func then(first func(*fixture), steps ...func(*fixture)) func(*fixture) {
	return func(f *fixture) {
		first(f)
		for _, s := range steps {
			s(f)
		}
	}
}

// does is a step: what a button, a menu or the tray ask for.
func does(v model.Verb, drive string) func(*fixture) {
	return func(f *fixture) { f.ui.Do(model.Action{Verb: v, Drive: drive}) }
}

// presses is a step: the button of a text, by its key.
func presses(key string) func(*fixture) {
	return func(f *fixture) { f.press(f.texts.Get(key)) }
}

// enters is a step: a text where the keyboard is.
func enters(text string) func(*fixture) { return func(f *fixture) { f.enter(text) } }

// refuses is a step: the service refuses what it is asked next.
func refuses(p api.Problem) func(*fixture) {
	return func(f *fixture) { f.service.refuse = &p }
}

// found is a step: this computer has what may become drives.
func found(f *fixture) { f.service.prospects.found = finds }

// signIn is a step: remotes want a sign-in.
func signIn(f *fixture) { f.service.prospects.wantsSignIn("hush") }

// adds is the way to a step of the sheet for a new drive.
func adds(step int) func(*fixture) {
	return func(f *fixture) { f.ui.Add(); f.enter("https://example.org/project.git"); f.next(step) }
}

// next goes on to a step of the sheet for a new drive.
func (f *fixture) next(step int) {
	for f.ui.adding.step < step {
		f.press(f.texts.Get("add.next"))
	}
}

// gitWindow is the state of a window with a repository that has a history.
func gitWindow(f *fixture) {
	f.service.history.older = true
	f.pane(gitDrive(nil), drives()[4])
}

// pinned is a drive that stays at a moment of its history.
func pinned() api.Drive {
	main := ""
	return gitDrive(func(s *api.Shown) {
		s.Revision, s.Branch, s.Commit, s.Back, s.Time = id(3), "", id(3), &main, noon.AddDate(0, 0, -33)
	})
}

func pane(f *fixture) fyne.CanvasObject   { return f.ui.detail.root }
func window(f *fixture) fyne.CanvasObject { return f.win.Content() }

// long are drives whose every text is longer than its place.
func long() []api.Drive {
	list := drives()
	for i := range list {
		d := &list[i]
		d.Name += "-of-the-department-of-long-names-and-longer-abbreviations"
		d.URL += "/with/a/path/that/does/not/end/before/the/window/does"
		d.Dir += "-of-the-department-of-long-names-and-longer-abbreviations/and/a/folder"
		d.Revision = "feature/a-branch-whose-name-tells-the-whole-story-of-its-making"
		d.Uploads = []api.Upload{{Path: "a/folder/with/a/very/long/path/that/is/cut/at/its/end/or/in/the/middle.tar.gz", State: api.UploadParked,
			Total: 80_000, Since: noon, Problem: &api.Problem{What: "The bucket forbids it, and says so at length.", Do: "Ask its owner for the right to write, then upload again."}}}
	}
	return list
}

// many are drives for which there is a search.
func many(n int) []api.Drive {
	var list []api.Drive
	for i := range n {
		list = append(list, api.Drive{Name: fmt.Sprintf("drive-%03d", i), URL: "mem:", Kind: "mem", State: api.Mounted, Dir: fmt.Sprintf("/home/ann/Moorage/drive-%03d", i)})
	}
	return list
}

var (
	setup = wellSet()
	gone  = api.Problem{What: "The Moorage service could not be started.", Means: "Without it no drive can be mounted.",
		Do: "Install Moorage again, or put mooraged beside this program."}
	away = api.Problem{Code: api.CodeOffline, What: "example.org cannot be reached: no route to host.",
		Do: "Check the network and the address, then try again."}
	busy = api.Problem{Code: api.CodeBusy, What: "The drive is in use.",
		Means: "2 programs have files open on it: vlc (4711) and bash (1234).", Do: "Close them and try again."}
	bundle = model.Bundle{Made: noon, Files: []model.BundleFile{
		{Name: "about.txt", Text: "made\t2026-03-05T12:30:00Z\napp\tv0.4.0\nsystem\tlinux amd64\n"},
		{Name: "service.log", Text: strings.Repeat("time=2026-03-05T12:30:00Z level=INFO msg=\"mounted\" drive=photos dir=/home/ann/Moorage/photos\n", 40)},
	}}
)

// shots are all views in all their states. A new page is a line here.
var shots = []shot{
	// The window.
	{name: "waiting", show: func(f *fixture) { f.ui.Show(model.New(f.texts, "").View(noon)) }},
	{name: "empty", show: func(f *fixture) { f.stage(nil, "", nil) }},
	{name: "drives", show: chosen("gpt-oss-20b")},
	{name: "drives-2x", show: chosen("s3-builds"), scale: 2, size: fyne.NewSize(820, 560)},
	{name: "drives-keyboard", light: true, show: then(chosen("photos"), func(f *fixture) { f.ui.reveal("photos") })},
	{name: "drives-small", light: true, show: chosen("nas"), size: fyne.NewSize(680, 420)},
	{name: "drives-long", light: true, show: func(f *fixture) { f.stage(long(), long()[5].Name, nil) }},
	{name: "drives-german", show: chosen("s3-builds"), language: "de", size: fyne.NewSize(940, 760)},
	{name: "drives-large-text", light: true, show: chosen("s3-builds"), text: 1.6, size: fyne.NewSize(1100, 900)},
	{name: "drives-twice-text", light: true, show: chosen("s3-builds"), text: 2, size: fyne.NewSize(1280, 900)},
	{name: "drives-small-text", light: true, show: chosen("s3-builds"), text: 0.8},
	{name: "search", light: true, show: then(chosen("gpt-oss-20b"), func(f *fixture) { f.ctrl(fyne.KeyF) }, enters("git"))},
	{name: "search-none", light: true, show: then(chosen("gpt-oss-20b"), func(f *fixture) { f.ctrl(fyne.KeyF) }, enters("nothing of the kind"))},
	{name: "many", light: true, show: func(f *fixture) { f.stage(many(200), "drive-101", nil); f.ui.reveal("drive-101") }},
	{name: "starting", show: told(func(m *model.Model) { m.Starting(); m.Opened(); m.Starting() })},
	{name: "lost", show: told(func(m *model.Model) { m.Lost(gone) })},
	{name: "lost-empty", show: func(f *fixture) { f.stage(nil, "", func(m *model.Model) { m.Lost(gone) }) }},
	{name: "lost-german", light: true, show: told(func(m *model.Model) { m.Lost(gone) }), language: "de"},
	{name: "menu-app", show: then(chosen("gpt-oss-20b"), func(f *fixture) { test.Tap(f.ui.more) })},
	{name: "menu-drive", show: then(chosen("scratch"), func(f *fixture) { test.Tap(f.ui.detail.more) })},

	// The pane of one drive.
	{name: "pane-mounted", show: chosen("gpt-oss-20b"), of: pane},
	{name: "pane-connecting", show: chosen("linux"), of: pane},
	{name: "pane-degraded", show: chosen("nas"), of: pane},
	{name: "pane-needs-you", show: chosen("notes"), of: pane},
	{name: "pane-stopped", show: chosen("photos"), of: pane},
	{name: "pane-uploading", show: chosen("s3-builds"), of: pane, size: fyne.NewSize(940, 900)},
	{name: "pane-failed", show: chosen("scratch"), of: pane},
	{name: "pane-busy", of: pane, show: told(func(m *model.Model) {
		m.Ask("gpt-oss-20b", model.Unmount)
		m.Answer("gpt-oss-20b", model.Unmount, &busy)
	})},
	{name: "pane-unmounting", of: pane, show: told(func(m *model.Model) { m.Ask("gpt-oss-20b", model.Unmount) })},
	{name: "pane-offline", of: pane, show: changed("gpt-oss-20b", func(d *api.Drive) {
		d.Pins = []api.Pin{{State: api.PinKept, Here: 13_800_000_000, Total: 13_800_000_000}}
	})},
	{name: "pane-fetching", of: pane, show: changed("gpt-oss-20b", func(d *api.Drive) {
		d.Pins = []api.Pin{{Here: 3_100_000_000, Total: 13_800_000_000}}
	})},
	{name: "pane-uploads-ended", of: pane, size: fyne.NewSize(940, 760), show: changed("nas", func(d *api.Drive) {
		d.Uploads = []api.Upload{
			{Path: "2026/beach.jpg", State: api.UploadDone, Total: 4_200_000, Since: noon.Add(-3 * time.Minute)},
			{Path: "2026/list (conflict laptop 2026-03-05).txt", State: api.UploadConflict, Total: 900, Since: noon},
		}
	})},
	{name: "pane-german", light: true, show: chosen("scratch"), of: pane, language: "de"},
	{name: "pane-french", light: true, show: chosen("s3-builds"), of: pane, language: "fr", size: fyne.NewSize(940, 900)},
	{name: "pane-spanish", light: true, show: chosen("photos"), of: pane, language: "es"},

	// Sheets.
	{name: "question-remove", show: then(chosen("photos"), does(model.Remove, "photos")), of: window},
	{name: "question-force", show: then(chosen("nas"), does(model.Force, "nas"))},
	{name: "question-german", light: true, show: then(chosen("photos"), does(model.Remove, "photos")), language: "de"},
	{name: "sign-in", show: then(chosen("notes"), does(model.SignIn, "notes"))},
	{name: "sign-in-refused", light: true, show: then(chosen("notes"), does(model.SignIn, "notes"), enters("hush"),
		refuses(api.Problem{Code: "keyring", What: "The keyring is locked.", Means: "The token was not kept.", Do: "Unlock it and try again."}),
		presses("secret.save"))},
	{name: "edit", show: then(chosen("photos"), does(model.Edit, "photos"))},
	{name: "edit-refused", light: true, show: then(chosen("photos"), does(model.Edit, "photos"), enters("2"),
		refuses(api.Problem{What: "There is a drive of that name."}), presses("edit.save"))},
	{name: "message", show: then(chosen("photos"), func(f *fixture) {
		f.ui.Tell("Moorage has no tray here", "Closing the window ends the app. The service goes on, and so do the drives.", func() {})
	})},
	{name: "quit", show: then(chosen("s3-builds"), does(model.Quit, ""))},
	{name: "quit-2x", light: true, show: then(chosen("s3-builds"), does(model.Quit, "")), scale: 2},
	{name: "quit-after", show: then(chosen("s3-builds"), does(model.Quit, ""), presses("quit.after"))},
	{name: "quit-refused", show: then(chosen("s3-builds"), does(model.Quit, ""), refuses(busy), presses("quit.stop"))},
	{name: "quit-stopping", show: then(chosen("s3-builds"), does(model.Quit, ""), func(f *fixture) { f.service.hold = true }, presses("quit.stop"))},
	{name: "quit-german", light: true, show: then(chosen("s3-builds"), does(model.Quit, "")), language: "de"},

	// The sheet for a new drive.
	{name: "add-1", show: then(chosen("photos"), does(model.Add, ""))},
	{name: "add-1-found", show: then(chosen("photos"), found, does(model.Add, ""), func(f *fixture) { f.key(fyne.KeyDown) })},
	{name: "add-1-typed-2x", light: true, scale: 2, show: then(chosen("photos"), found, does(model.Add, ""), enters("https://example.org/project.git"))},
	{name: "add-1-refused", light: true, show: then(chosen("photos"), does(model.Add, ""), func(f *fixture) {
		f.service.prospects.refuse = &api.Problem{Code: api.CodeBadURL, What: "“htp:/x” is not an address that Moorage knows.",
			Do: "Write it as in https://github.com/owner/project, hf://org/model or /some/folder."}
	}, enters("htp:/x"), presses("add.next"))},
	{name: "add-2-looking", show: then(chosen("photos"), does(model.Add, ""), func(f *fixture) { f.service.prospects.hold = true },
		enters("https://example.org/project.git"), presses("add.next"))},
	{name: "add-2-listed", show: then(chosen("photos"), adds(2))},
	{name: "add-2-sign-in", show: then(chosen("photos"), signIn, adds(2))},
	{name: "add-2-sign-in-german", light: true, language: "de", show: then(chosen("photos"), signIn, adds(2))},
	{name: "add-2-away", show: then(chosen("photos"), func(f *fixture) { f.service.prospects.answers[""] = &away }, adds(2))},
	{name: "add-3", show: then(chosen("photos"), adds(3))},
	{name: "add-3-refused", light: true, show: then(chosen("photos"), adds(3), refuses(api.Problem{Code: api.CodeDirNotEmpty,
		What: "~/Moorage/project has files in it.", Do: "Choose another place."}), presses("add.finish"))},
	{name: "add-3-german", light: true, language: "de", show: then(chosen("photos"), adds(3))},
	{name: "add-3-large-text", light: true, text: 1.6, size: fyne.NewSize(1100, 900), show: then(chosen("photos"), adds(3))},
	{name: "add-3-small", light: true, size: fyne.NewSize(700, 480), of: window, show: then(chosen("photos"), adds(3))},

	// The picker of revisions.
	{name: "time-branches", show: then(gitWindow, presses("time.change"))},
	{name: "time-commits", show: then(gitWindow, presses("time.change"), presses("time.commits"))},
	{name: "time-waiting", light: true, show: then(gitWindow, func(f *fixture) { f.service.history.hold = true }, presses("time.change"))},
	{name: "time-away", light: true, show: then(gitWindow, func(f *fixture) { f.service.history.fail = &away }, presses("time.change"))},
	{name: "time-none", light: true, show: then(gitWindow, presses("time.change"), enters("nothing of the kind"))},
	{name: "time-moving", light: true, show: then(gitWindow, presses("time.change"), func(f *fixture) { f.service.hold = true; f.key(fyne.KeyDown); f.key(fyne.KeyDown) }, presses("time.show"))},
	{name: "time-german", light: true, language: "de", show: then(gitWindow, presses("time.change"))},
	{name: "time-large-text", light: true, text: 1.6, size: fyne.NewSize(1100, 900), show: then(gitWindow, presses("time.change"))},
	{name: "pane-git", of: pane, show: gitWindow},
	{name: "pane-pinned", of: pane, show: func(f *fixture) { f.pane(pinned()) }},
	{name: "pane-pinned-large-text", light: true, text: 1.6, size: fyne.NewSize(1100, 900), of: pane, show: func(f *fixture) { f.pane(pinned()) }},
	{name: "pane-turning", light: true, of: pane, show: func(f *fixture) {
		next := "v1.10"
		f.pane(gitDrive(func(s *api.Shown) { s.Turning = &next }))
	}},

	// The doctor.
	{name: "doctor-running", show: then(chosen("photos"), does(model.Examine, ""), told(func(m *model.Model) { m.Examining() }))},
	{name: "doctor", show: then(chosen("photos"), does(model.Examine, ""), told(func(m *model.Model) { m.Examined(report) }))},
	{name: "doctor-well", light: true, show: then(chosen("photos"), does(model.Examine, ""), told(func(m *model.Model) { m.Examined(report[:2]) }))},
	{name: "doctor-small", light: true, size: fyne.NewSize(700, 480),
		show: then(chosen("photos"), does(model.Examine, ""), told(func(m *model.Model) { m.Examined(report) })), of: window},
	{name: "doctor-large-text", light: true, text: 1.6, size: fyne.NewSize(1100, 900),
		show: then(chosen("photos"), does(model.Examine, ""), told(func(m *model.Model) { m.Examined(report) }))},

	// The settings.
	{name: "settings-looking", light: true, show: then(chosen("photos"), does(model.Preferences, ""),
		told(func(m *model.Model) { m.SetUp(model.Setup{Version: "v0.4.0", Unknown: true}, nil) }))},
	{name: "settings", show: then(chosen("photos"), does(model.Preferences, ""), told(func(m *model.Model) { m.SetUp(setup, nil) }))},
	{name: "settings-german", light: true, language: "de", show: then(chosen("photos"), does(model.Preferences, ""), told(func(m *model.Model) { m.SetUp(setup, nil) }))},
	{name: "settings-refused", light: true, show: then(chosen("photos"), does(model.Preferences, ""), told(func(m *model.Model) {
		m.SetUp(setup, &api.Problem{What: "The setting could not be changed: no manager.", Do: "Try again; the Doctor may know more."})
	}))},
	{name: "settings-large-text", light: true, text: 1.6, size: fyne.NewSize(1100, 900),
		show: then(chosen("photos"), does(model.Preferences, ""), told(func(m *model.Model) { m.SetUp(setup, nil) }))},
	{name: "settings-cache", show: then(chosen("photos"), does(model.Preferences, ""), presses("settings.cache"), told(func(m *model.Model) { m.SetUp(setup, nil) }))},
	{name: "settings-network", light: true, show: then(chosen("photos"), does(model.Preferences, ""), presses("settings.network"), told(func(m *model.Model) { m.SetUp(setup, nil) }))},
	{name: "settings-accounts", show: then(chosen("photos"), does(model.Preferences, ""), presses("accounts.title"), told(func(m *model.Model) { m.SetUp(setup, nil) }))},
	{name: "settings-cache-french", light: true, language: "fr", show: then(chosen("photos"), does(model.Preferences, ""), presses("settings.cache"), told(func(m *model.Model) { m.SetUp(setup, nil) }))},
	{name: "settings-accounts-locked", light: true, show: then(chosen("photos"), does(model.Preferences, ""), presses("accounts.title"), told(func(m *model.Model) {
		m.SetUp(keptIn(api.KeyringLocked, api.SecretFileAbsent), nil)
	}))},
	{name: "secrets-locked", show: then(chosen("photos"), does(model.Secrets, ""), told(func(m *model.Model) {
		m.SetUp(keptIn(api.KeyringLocked, api.SecretFileAbsent), nil)
	}))},
	{name: "secrets-german", light: true, language: "de", show: then(chosen("photos"), does(model.Secrets, ""), told(func(m *model.Model) {
		m.SetUp(keptIn(api.KeyringAbsent, api.SecretFileAbsent), nil)
	}))},
	{name: "paused", show: told(func(m *model.Model) {
		m.Apply(api.Event{Kind: api.ServiceChanged, Service: &api.Service{Paused: &api.Pause{Since: noon}}})
	})},
	{name: "bundle", show: then(chosen("photos"), func(f *fixture) { f.service.bundle = bundle }, does(model.Preferences, ""), presses("settings.about"), presses("settings.diagnostics"))},
	{name: "bundle-saved", show: then(chosen("photos"), func(f *fixture) { f.service.bundle = bundle }, does(model.Preferences, ""), presses("settings.about"),
		presses("settings.diagnostics"), presses("bundle.save"))},
}
