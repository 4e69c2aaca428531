package ui

import (
	"bytes"
	"cmp"
	"flag"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/canvas"
	"fyne.io/fyne/v2/test"
	"fyne.io/fyne/v2/theme"

	"github.com/moorage/moorage/assets"
)

// The pictures of shots_test.go are compared with those in testdata/golden.
var update = flag.Bool("update", false, "draw the pictures in testdata/golden anew")

// shot is a picture of a view in one state, drawn light and dark.
type shot struct {
	name string
	show func(*fixture) // brings the state about

	size     fyne.Size                        // of the window; zero: that of New
	scale    float32                          // pixels of the screen for one of the theme; 0: 1
	text     float32                          // how much larger texts are; 0: 1
	language string                           // "": English
	light    bool                             // it is not about colours: light is enough
	of       func(*fixture) fyne.CanvasObject // what is in the picture; nil: the sheet, or else the window
}

// larger is a theme with larger texts, and marks beside them.
type larger struct {
	fyne.Theme
	by float32
}

func (t larger) Size(name fyne.ThemeSizeName) float32 {
	size := t.Theme.Size(name)
	switch name {
	case theme.SizeNameText, theme.SizeNameCaptionText, theme.SizeNameHeadingText, theme.SizeNameSubHeadingText, theme.SizeNameInlineIcon:
		return size * t.by
	}
	return size
}

// fixture brings the state about, in the app that there is.
func (s shot) fixture(t *testing.T) *fixture {
	t.Helper()
	texts, err := assets.For(s.language)
	if err != nil {
		t.Fatal(err)
	}
	f := newWindow(t, texts)
	if s.scale > 0 {
		f.win.Canvas().(interface{ SetScale(float32) }).SetScale(s.scale)
	}
	if s.size != (fyne.Size{}) {
		f.win.Resize(s.size)
	}
	s.show(f)
	return f
}

// capture draws one object of the window and a little of what is around it. With a
// nil of it is the sheet, or else the window.
func (f *fixture) capture(of func(*fixture) fyne.CanvasObject) *image.NRGBA {
	var object fyne.CanvasObject
	switch {
	case of != nil:
		object = of(f)
	case f.ui.sheet != nil:
		object = f.ui.sheet.popup.Content
	}
	img := f.win.Canvas().Capture()
	part := img.Bounds()
	if object != nil {
		at, size, scale := fyne.CurrentApp().Driver().AbsolutePositionForObject(object), object.Size(), f.win.Canvas().Scale()
		const around = 4
		part = image.Rect(int((at.X-around)*scale), int((at.Y-around)*scale),
			int((at.X+size.Width+around)*scale), int((at.Y+size.Height+around)*scale)).Intersect(part)
	}
	n := image.NewNRGBA(image.Rect(0, 0, part.Dx(), part.Dy()))
	draw.Draw(n, n.Bounds(), img, part.Min, draw.Src)
	return n
}

// theme is that of the app for the picture.
func (s shot) theme(v fyne.ThemeVariant) fyne.Theme {
	var look fyne.Theme = variant{NewTheme(LookOfDesktop), v}
	if s.text > 0 {
		look = larger{look, s.text}
	}
	return look
}

// TestGolden: every view looks in every state as it did when somebody looked at it last.
func TestGolden(t *testing.T) {
	names := map[string]bool{}
	settings := test.NewTempApp(t).Settings()
	for _, look := range []string{"light", "dark"} {
		v := variants[look]
		text := float32(-1) // of the theme; each has its fonts loaded, which takes long
		for _, s := range slices.SortedStableFunc(slices.Values(shots), func(a, b shot) int { return cmp.Compare(a.text, b.text) }) {
			if s.light && v == theme.VariantDark {
				continue
			}
			name := s.name + "-" + look
			if names[name+".png"] {
				t.Fatalf("there are two pictures %s", name)
			}
			names[name+".png"] = true
			if s.text != text {
				text = s.text
				settings.SetTheme(s.theme(v))
			}
			t.Run(name, func(t *testing.T) {
				f := s.fixture(t)
				got := f.capture(s.of)
				f.ownFonts()
				path := filepath.Join("testdata", "golden", name+".png")
				if *update {
					write(t, path, coarse(got))
					return
				}
				want := read(t, path)
				if d := diff(want, got); d.moved {
					write(t, filepath.Join(t.ArtifactDir(), name+".png"), got)
					write(t, filepath.Join(t.ArtifactDir(), name+"-diff.png"), d.picture)
					t.Errorf("it looks otherwise than %s at %v (%d pixels); see the pictures with -artifacts, and if it is meant so, "+
						"draw them anew with: go test ./app/internal/ui -run TestGolden -update", path, d.where, d.pixels)
				}
			})
		}
	}
	old, err := os.ReadDir(filepath.Join("testdata", "golden"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range old {
		switch path := filepath.Join("testdata", "golden", e.Name()); {
		case names[e.Name()]:
		case *update:
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s is of no view", path)
		}
	}
}

// ownFonts makes sure that the texts in view are drawn with the fonts that come with the
// toolkit; those of the computer are not the same everywhere.
func (f *fixture) ownFonts() {
	f.t.Helper()
	roots := append([]fyne.CanvasObject{f.win.Content()}, f.win.Canvas().Overlays().List()...)
	for _, root := range roots {
		for _, o := range seen(root) {
			text, ok := o.(*canvas.Text)
			if !ok {
				continue
			}
			for _, r := range text.Text {
				if r > unicode.MaxASCII && !unicode.Is(unicode.Latin, r) && !strings.ContainsRune("\u00a0“”„‘’«»¿¡·•…–—×→●", r) {
					f.t.Errorf("%q in %q may be drawn with a font of this computer", r, text.Text)
				}
			}
		}
	}
}

func read(t *testing.T, path string) *image.NRGBA {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	n := image.NewNRGBA(img.Bounds())
	draw.Draw(n, n.Bounds(), img, img.Bounds().Min, draw.Src)
	return n
}

func write(t *testing.T, path string, img image.Image) {
	t.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// coarse returns img in 256 colours, so that its file is small.
func coarse(img *image.NRGBA) *image.Paletted {
	const step = 4
	round := func(v uint8) uint8 { return uint8(min((int(v)+step/2)/step*step, 255)) }
	rounded := func(i int) color.NRGBA {
		return color.NRGBA{round(img.Pix[i]), round(img.Pix[i+1]), round(img.Pix[i+2]), 255}
	}
	often := map[color.NRGBA]int{}
	for i := 0; i < len(img.Pix); i += 4 {
		often[rounded(i)]++
	}
	colours := slices.SortedFunc(maps.Keys(often), func(a, b color.NRGBA) int {
		return cmp.Or(often[b]-often[a], cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var palette color.Palette
	for like := 0; palette == nil || len(palette) > 256; like += step {
		palette = distinct(colours, like)
	}
	index := map[color.NRGBA]uint8{}
	p := image.NewPaletted(img.Bounds(), palette)
	for i := range p.Pix {
		c := rounded(4 * i)
		n, ok := index[c]
		if !ok {
			n = uint8(palette.Index(c))
			index[c] = n
		}
		p.Pix[i] = n
	}
	return p
}

// distinct are those of colours of which none before is like them; at most 257.
func distinct(colours []color.NRGBA, like int) (p color.Palette) {
	var chosen []color.NRGBA
	for _, c := range colours {
		if !slices.ContainsFunc(chosen, func(o color.NRGBA) bool {
			return max(apart(c.R, o.R), apart(c.G, o.G), apart(c.B, o.B)) <= like
		}) || len(p) < 64 {
			chosen = append(chosen, c)
			p = append(p, c)
		}
		if len(p) > 256 {
			break
		}
	}
	return p
}

func apart(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }

// difference is how two pictures differ.
type difference struct {
	moved   bool // something is elsewhere, or has another colour
	pixels  int
	where   image.Point // where most is different
	picture *image.NRGBA
}

// diff compares two pictures as a person does: what is a pixel aside, or a shade
// lighter, is the same. Processors round in different ways.
func diff(want, got *image.NRGBA) difference {
	d := difference{picture: image.NewNRGBA(want.Bounds().Union(got.Bounds()))}
	if want.Bounds() != got.Bounds() {
		d.moved, d.pixels = true, max(len(want.Pix), len(got.Pix))/4
		draw.Draw(d.picture, got.Bounds(), got, image.Point{}, draw.Src)
		return d
	}
	const side = 32 // of the squares in which differences are counted
	across := (want.Rect.Dx() + side - 1) / side
	squares := make([]int, across*((want.Rect.Dy()+side-1)/side))
	most := 0
	for y := range want.Rect.Dy() {
		for x := range want.Rect.Dx() {
			i := want.PixOffset(x, y)
			grey := 255 - (255-got.Pix[i+1])/4
			c := color.NRGBA{grey, grey, grey, 255}
			if !near(want, got, x, y) || !near(got, want, x, y) {
				c = color.NRGBA{220, 0, 60, 255}
				d.pixels++
				n := y/side*across + x/side
				if squares[n]++; squares[n] > most {
					most, d.where = squares[n], image.Pt(x/side*side, y/side*side)
				}
			}
			d.picture.SetNRGBA(x, y, c)
		}
	}
	d.moved = most > 9
	return d
}

// near says whether the pixel of a is like one of b there, or between those around it.
func near(a, b *image.NRGBA, x, y int) bool {
	const tolerance = 12
	p := a.Pix[a.PixOffset(x, y):]
	var low, high [3]uint8
	copy(low[:], b.Pix[b.PixOffset(x, y):])
	high = low
	within := func() bool {
		for c := range 3 {
			if int(p[c]) < int(low[c])-tolerance || int(p[c]) > int(high[c])+tolerance {
				return false
			}
		}
		return true
	}
	if within() {
		return true
	}
	for v := max(y-1, 0); v <= min(y+1, b.Rect.Dy()-1); v++ {
		for u := max(x-1, 0); u <= min(x+1, b.Rect.Dx()-1); u++ {
			q := b.Pix[b.PixOffset(u, v):]
			for c := range 3 {
				low[c], high[c] = min(low[c], q[c]), max(high[c], q[c])
			}
		}
	}
	return within()
}

// TestDiff: pictures differ if something has moved, and not if it was rounded otherwise.
func TestDiff(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.show(drives()...)
	want := f.capture(nil)
	shaken := image.NewNRGBA(want.Bounds())
	for i, v := range want.Pix {
		shaken.Pix[i] = uint8(min(max(int(v)+i%9-4, 0), 255))
		if i%4 == 3 {
			shaken.Pix[i] = 255
		}
	}
	if d := diff(want, shaken); d.moved {
		t.Errorf("a shade counts: %d pixels", d.pixels)
	}
	if d := diff(want, read(t, saved(t, want))); d.moved {
		t.Errorf("%d pixels are lost in the file", d.pixels)
	}
	aside := image.NewNRGBA(want.Bounds())
	draw.Draw(aside, aside.Bounds(), want, image.Pt(0, 1), draw.Src)
	draw.Draw(aside, image.Rect(0, aside.Rect.Dy()-1, aside.Rect.Dx(), aside.Rect.Dy()), want, image.Pt(0, want.Rect.Dy()-1), draw.Src)
	if d := diff(want, aside); d.moved || d.pixels > 0 {
		t.Errorf("one pixel aside counts: %d pixels at %v", d.pixels, d.where)
	}
	button := f.row("photos").primary
	button.Move(button.Position().AddXY(0, 4))
	if d := diff(want, f.capture(nil)); !d.moved {
		t.Errorf("a button that has moved does not count: %d pixels", d.pixels)
	}
	button.Move(button.Position().AddXY(0, -4))
	button.SetText("Mound")
	button.Refresh()
	if d := diff(want, f.capture(nil)); !d.moved {
		t.Errorf("another letter does not count: %d pixels", d.pixels)
	}
	if d := diff(want, image.NewNRGBA(image.Rect(0, 0, 10, 10))); !d.moved {
		t.Error("another size does not count")
	}
}

// saved is the path of img's file.
func saved(t *testing.T, img *image.NRGBA) string {
	path := filepath.Join(t.TempDir(), "picture.png")
	write(t, path, coarse(img))
	return path
}
