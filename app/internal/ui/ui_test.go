package ui

import (
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/assets"
	"github.com/moorage/moorage/daemon/api"
)

// variant is the app's look with the desktop's choice of light or dark fixed.
type variant struct {
	*Theme
	v fyne.ThemeVariant
}

func (t variant) Color(n fyne.ThemeColorName, _ fyne.ThemeVariant) color.Color {
	return t.Theme.Color(n, t.v)
}

// Size is that of the app, but that what is behind a sheet is not blurred: to do that
// takes a third of the time of all pictures.
func (t variant) Size(n fyne.ThemeSizeName) float32 {
	if n == theme.SizeNameModalBlurRadius {
		return 0
	}
	return t.Theme.Size(n)
}

// service stands for what the window asks; it answers adds with refuse.
type service struct {
	mu     sync.Mutex
	calls  []string
	added  []api.AddDrive
	refuse *api.Problem
	copied string

	prospects *prospects
	unvisited error // of Visit

	watched string
	edits   []api.EditDrive
	bundle  model.Bundle
	full    error // of what is saved
	hold    bool  // StopService is not answered, but by held
	held    func(*api.Problem)
	history history
}

func (s *service) StopService(done func(*api.Problem)) {
	s.note("stop")
	if s.hold {
		s.held = done
		return
	}
	done(s.refuse)
}

func (s *service) Diagnose(done func(model.Bundle)) { done(s.bundle) }

func (s *service) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func (s *service) Do(v model.Verb, drive string) { s.note("%s %s", v, drive) }

func (s *service) Add(a api.AddDrive, done func(*api.Problem)) {
	s.added = append(s.added, a)
	done(s.refuse)
}

func (s *service) SetSecret(drive, secret string, done func(*api.Problem)) {
	s.note("secret %s %s", drive, secret)
	done(s.refuse)
}

func (s *service) Edit(drive string, e api.EditDrive, done func(*api.Problem)) {
	s.edits = append(s.edits, e)
	done(s.refuse)
}

func (s *service) Watch(drive string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched = drive
}

// last is the last call, "" for none.
func (s *service) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) == 0 {
		return ""
	}
	return s.calls[len(s.calls)-1]
}

type fixture struct {
	t       testing.TB
	win     fyne.Window
	ui      *Window
	service *service
	texts   assets.Texts
}

func newFixture(t testing.TB, v fyne.ThemeVariant) *fixture {
	t.Helper()
	texts, err := assets.English()
	if err != nil {
		t.Fatal(err)
	}
	return newFixtureIn(t, variant{NewTheme(LookOfDesktop), v}, texts)
}

func newFixtureIn(t testing.TB, look fyne.Theme, texts assets.Texts) *fixture {
	test.NewTempApp(t).Settings().SetTheme(look)
	return newWindow(t, texts)
}

// newWindow is a fixture in the app that there is.
func newWindow(t testing.TB, texts assets.Texts) *fixture {
	f := &fixture{t: t, win: test.NewTempWindow(t, nil), service: &service{prospects: newProspects(texts)}, texts: texts}
	f.ui = New(Options{
		Window: f.win, Texts: texts, Actions: f.service, Prospects: f.service.prospects,
		Times: f.service, Clock: func() time.Time { return noon },
		Visit: func(page string) error {
			f.service.prospects.visited = page
			return f.service.unvisited
		},
		Hide: func() { f.service.note("hide") }, Quit: func() { f.service.note("quit") },
		Copy:  func(s string) { f.service.copied = s },
		Setup: f.service, SetLanguage: func(l string) { f.service.note("language %s", l) },
		Look: LookOfDesktop, SetLook: func(l Look) { f.service.note("look %s", l) },
		Save: func(name string, write func(io.Writer) error, done func(string, error)) {
			f.service.note("save %s", name)
			var b strings.Builder
			done("/home/ann/"+name, errors.Join(write(&b), f.service.full))
		},
	})
	return f
}

// noon is the time at which the drives of the tests are looked at.
var noon = time.Date(2026, 3, 5, 12, 30, 0, 0, time.UTC)

// drives are one of every state.
func drives() []api.Drive {
	return []api.Drive{
		{Name: "gpt-oss-20b", URL: "hf://openai/gpt-oss-20b@main", Kind: "hf", State: api.Mounted,
			Dir: "/home/ann/Moorage/gpt-oss-20b", ReadOnly: true, Revision: "main", Cache: api.Cache{Used: 1_240_000_000}},
		{Name: "linux", URL: "git+https://github.com/torvalds/linux.git", Kind: "git", State: api.Connecting, Step: "list"},
		{Name: "nas", URL: "sftp://ann@nas.local/photos", Kind: "sftp", State: api.Degraded, Since: noon.Add(-27 * time.Minute),
			Dir: "/home/ann/Moorage/nas"},
		{Name: "notes", URL: "git@example.org:ann/notes.git", Kind: "git", State: api.NeedsYou, Problem: &api.Problem{
			Code: "auth", What: "The server refused the password.", Means: "The drive is not mounted.",
			Do: "Sign in with a token that may read the repository."}},
		{Name: "photos", URL: "file:///home/ann/Pictures", Kind: "folder", State: api.Stopped, Dir: "/home/ann/Moorage/photos"},
		{Name: "s3-builds", URL: "s3://builds/nightly?endpoint=http://minio.local:9000", Kind: "s3", State: api.Mounted,
			Dir: "/home/ann/Moorage/s3-builds", Pending: api.Pending{Files: 12, Bytes: 12_400_000}, Remembered: true, Auto: true,
			Cache: api.Cache{Used: 3_400_000_000, Limit: 10_000_000_000}, Traffic: api.Traffic{Fetched: 4_200_000_000, Published: 81_000_000}},
		{Name: "scratch", URL: "mem:", Kind: "mem", State: api.Failed, Dir: "/home/ann/Moorage/scratch", Problem: &api.Problem{
			Code: "no-helper", What: "This computer could not mount the drive.",
			Means: "The kernel's NFS client is missing or may not be used by this account.",
			Do:    "Install nfs-common, or serve the drive with “moorage serve mem:”."}},
	}
}

func (f *fixture) show(list ...api.Drive) {
	f.t.Helper()
	m := model.New(f.texts, "/home/ann")
	m.Watch(f.service.watched)
	m.Opened()
	for _, d := range list {
		m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d})
	}
	m.Apply(api.Event{Kind: api.Ready})
	for _, d := range list {
		d.Uploads = uploads[d.Name]
		m.Whole(d)
	}
	f.ui.Show(m.View(noon))
}

// uploads are what drives have to publish.
var uploads = map[string][]api.Upload{"s3-builds": {
	{Path: "nightly/moorage_1.4.0_amd64.deb", State: api.UploadRunning, Done: 7_100_000, Total: 11_900_000, Since: noon},
	{Path: "nightly/SHA256SUMS", State: api.UploadSaved, Total: 512, Since: noon},
	{Path: "nightly/old.log", State: api.UploadSaved, Removed: true, Since: noon},
	{Path: "nightly/report.html", State: api.UploadParked, Total: 80_000, Since: noon, Problem: &api.Problem{
		What: "The bucket forbids it.", Do: "Ask its owner for the right to write, then upload again."}},
}}

// shoot draws the window into a PNG for people to look at, and makes sure that
// there is something on it.
func (f *fixture) shoot(name string) {
	f.t.Helper()
	img := f.win.Canvas().Capture()
	file, err := os.Create(filepath.Join(f.t.ArtifactDir(), name+".png"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(file, img); err != nil {
		f.t.Fatal(err)
	}
	colours := map[color.Color]bool{}
	for y := 0; y < img.Bounds().Dy() && len(colours) < 50; y++ {
		for x := range img.Bounds().Dx() {
			colours[img.At(x, y)] = true
		}
	}
	if len(colours) < 50 {
		f.t.Errorf("%s shows only %d colours", name, len(colours))
	}
}

func TestLook(t *testing.T) {
	for name, v := range map[string]fyne.ThemeVariant{"light": theme.VariantLight, "dark": theme.VariantDark} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, v)
			f.win.Resize(fyne.NewSize(940, 760))
			f.show(drives()...)
			f.shoot("drives-" + name)
			f.ui.reveal("s3-builds")
			f.show(drives()...)
			f.shoot("detail-" + name)
			f.ui.Add()
			f.shoot("add-" + name)
		})
	}
}
