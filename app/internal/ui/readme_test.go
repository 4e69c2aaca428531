package ui

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/test"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// The pictures of README.md; packaging/screenshots draws them.
var readme = flag.Bool("readme", false, "draw the pictures of README.md anew")

// readmeShots are as sharp as a screen of high resolution.
var readmeShots = []shot{
	{name: "window", scale: 2, size: fyne.NewSize(940, 640), show: ours("s3-builds")},
	{name: "add", scale: 2, size: fyne.NewSize(940, 640), of: window, show: then(ours("photos"), adds(2))},
	{name: "quit", scale: 2, size: fyne.NewSize(940, 640), of: window, show: then(ours("s3-builds"), does(model.Quit, ""))},
}

// ours is the state of a window with drives of the kinds that there are so far, to
// which nothing has happened.
func ours(chosen string) func(*fixture) {
	return func(f *fixture) {
		list := slices.DeleteFunc(drives(), func(d api.Drive) bool { return !slices.Contains([]string{"git", "s3", "folder", "mem"}, d.Kind) })
		for i := range list {
			if d := &list[i]; d.State != api.Stopped {
				d.State, d.Step, d.Problem, d.Dir = api.Mounted, "", nil, "/home/ann/Moorage/"+d.Name
			}
		}
		f.stage(list, chosen, nil)
	}
}

// TestReadme: the pictures in README.md are there, and as large as they are drawn now.
func TestReadme(t *testing.T) {
	const root = "../../.."
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	settings := test.NewTempApp(t).Settings()
	for _, s := range readmeShots {
		for look, v := range variants {
			path := "assets/readme/" + s.name + "-" + look + ".png"
			t.Run(s.name+"-"+look, func(t *testing.T) {
				settings.SetTheme(s.theme(v))
				got := s.fixture(t).capture(s.of)
				if file := filepath.Join(root, path); *readme {
					write(t, file, coarse(got))
				} else if had := read(t, file); had.Bounds() != got.Bounds() {
					t.Errorf("%s is %v, and would be %v: draw it anew with packaging/screenshots", path, had.Bounds(), got.Bounds())
				}
				if !strings.Contains(string(text), path) {
					t.Errorf("README.md does not show %s", path)
				}
			})
		}
	}
}
