package ui

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"fyne.io/fyne/v2"
	"fyne.io/fyne/v2/theme"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

// counting is an app that counts what is drawn anew.
type counting struct {
	fyne.App
	n *int
}

func (a counting) Driver() fyne.Driver { return countingDriver{a.App.Driver(), a.n} }

type countingDriver struct {
	fyne.Driver
	n *int
}

func (d countingDriver) CanvasForObject(o fyne.CanvasObject) fyne.Canvas {
	return countingCanvas{d.Driver.CanvasForObject(o), d.n}
}

type countingCanvas struct {
	fyne.Canvas
	n *int
}

func (c countingCanvas) Refresh(o fyne.CanvasObject) {
	*c.n++
	c.Canvas.Refresh(o)
}

// drawn is how often f has something drawn anew.
func drawn(t *testing.T, f func()) (n int) {
	t.Helper()
	app := fyne.CurrentApp()
	fyne.SetCurrentApp(counting{app, &n})
	defer fyne.SetCurrentApp(app)
	f()
	return n
}

// crowd is a model of n drives, of which the first is watched.
func (f *fixture) crowd(n int) *model.Model {
	m := model.New(f.texts, "/home/ann")
	m.Opened()
	for _, d := range many(n) {
		m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d})
	}
	m.Apply(api.Event{Kind: api.Ready})
	m.Watch("drive-000")
	return m
}

// TestNothingIsDrawnWhenNothingHasChanged: with whatever sheet is open.
func TestNothingIsDrawnWhenNothingHasChanged(t *testing.T) {
	for name, open := range map[string]func(*fixture){
		"drives":   func(*fixture) {},
		"search":   func(f *fixture) { f.ctrl(fyne.KeyF); f.enter("nothing of the kind") },
		"add":      does(model.Add, ""),
		"edit":     does(model.Edit, "photos"),
		"sign-in":  does(model.SignIn, "notes"),
		"remove":   does(model.Remove, "photos"),
		"doctor":   does(model.Examine, ""),
		"settings": does(model.Preferences, ""),
		"bundle":   then(does(model.Preferences, ""), presses("settings.about"), presses("settings.diagnostics")),
		"quit":     does(model.Quit, ""),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, theme.VariantLight)
			m := model.New(f.texts, "/home/ann")
			m.Opened()
			for _, d := range drives() {
				m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d})
			}
			m.Apply(api.Event{Kind: api.Ready})
			m.Examined(report)
			m.SetUp(setup, nil)
			m.Watch("s3-builds")
			whole := drives()[5]
			whole.Uploads = uploads[whole.Name]
			m.Whole(whole)
			f.ui.Show(m.View(noon))
			open(f)
			f.ui.Show(m.View(noon))
			f.ui.Show(m.View(noon.Add(time.Second)))
			if n := drawn(t, func() { f.ui.Show(m.View(noon.Add(2 * time.Second))) }); n > 0 {
				t.Errorf("%d things were drawn", n)
			}
			if n := drawn(t, func() { f.ui.Show(f.crowd(3).View(noon)) }); n == 0 {
				t.Error("a change draws nothing, or is not counted")
			}
		})
	}
}

// TestOneChangeDrawsOneRow: what is drawn for it does not grow with the drives, and
// is nothing if it is out of view.
func TestOneChangeDrawsOneRow(t *testing.T) {
	cost := func(n, changed int) int {
		f := newFixture(t, theme.VariantLight)
		m := f.crowd(n)
		f.ui.Show(m.View(noon))
		d := many(n)[changed]
		d.Cache.Used = 12_000_000
		m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d})
		return drawn(t, func() { f.ui.Show(m.View(noon)) })
	}
	few, all := cost(20, 2), cost(500, 2)
	if few == 0 || all > few {
		t.Errorf("a change of one drive of 20 draws %d things, of 500 %d", few, all)
	}
	f := newFixture(t, theme.VariantLight)
	row := newDriveRow(func(model.Action) {})
	v := f.crowd(1).View(noon)
	row.set(v.Rows[0], 0)
	one := v.Rows[0]
	one.Status = "otherwise"
	if single := drawn(t, func() { row.set(one, 0) }); all > 2*single {
		t.Errorf("a change of one drive draws %d things, of which its row is %d", all, single)
	}
	if n := cost(500, 400); n > 0 {
		t.Errorf("a change out of view draws %d things", n)
	}
}

// TestRowsForThoseInView: also while the list is scrolled through.
func TestRowsForThoseInView(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	f.ui.Show(f.crowd(500).View(noon))
	made := map[*driveRow]bool{}
	most := 0
	for offset := float32(0); offset < 500*76; offset += 31 {
		f.ui.list.ScrollToOffset(offset)
		inView := 0
		for _, o := range seen(f.ui.list) {
			if w, ok := o.(*driveRow); ok {
				inView++
				made[w] = true
			}
		}
		most = max(most, inView)
	}
	room := int(f.ui.list.Size().Height/f.ui.list.MinSize().Height) + 1
	if most == 0 || most > room+1 {
		t.Errorf("%d rows are in view where %d have room", most, room)
	}
	if len(made) > most+2 {
		t.Errorf("%d rows were made to show %d", len(made), most)
	}
	f.ui.list.ScrollToBottom()
	if last := f.row("drive-499"); last.row.Name != "drive-499" {
		t.Error("the last drive is not at the end")
	}
}

// TestUploadsInThePane: their number does not matter.
func TestUploadsInThePane(t *testing.T) {
	cost := func(n int) int {
		f := newFixture(t, theme.VariantLight)
		d := many(1)[0]
		d.Pending = api.Pending{Files: n, Bytes: int64(n)}
		for i := range n {
			d.Uploads = append(d.Uploads, api.Upload{Path: fmt.Sprintf("folder/%05d.txt", i), State: api.UploadSaved, Total: 1000})
		}
		f.stage([]api.Drive{d}, d.Name, nil)
		if lines := len(f.ui.detail.uploads); lines > 50 {
			t.Errorf("%d lines for %d uploads", lines, n)
		}
		d.Pending.Files--
		d.Uploads = d.Uploads[1:]
		return drawn(t, func() { f.stage([]api.Drive{d}, d.Name, nil) })
	}
	if few, all := cost(60), cost(10_000); all > few+10 {
		t.Errorf("the end of one upload of 60 draws %d things, of 10000 %d", few, all)
	}
}

// TestMemoryStaysFlat: over many changes of the drives, all of which are drawn.
func TestMemoryStaysFlat(t *testing.T) {
	f := newFixture(t, theme.VariantLight)
	m := f.crowd(100)
	states := []api.State{api.Stopped, api.Connecting, api.Mounted, api.Degraded, api.NeedsYou, api.Failed}
	change := func(i int) {
		d := many(100)[i%5]
		d.State, d.Since, d.Step = states[i%len(states)], noon.Add(time.Duration(i)*time.Second), "list"
		d.Pending, d.Cache.Used = api.Pending{Files: i % 7}, int64(i)*1_000_000
		if d.State == api.NeedsYou {
			d.Problem = &api.Problem{What: "The server refused the password.", Do: fmt.Sprintf("Try number %d.", i)}
		}
		d.Uploads = []api.Upload{{Path: fmt.Sprintf("folder/%05d.txt", i), State: api.UploadRunning, Done: int64(i), Total: 1000}}
		m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d})
		m.Watch(d.Name)
		m.Whole(d)
		f.ui.Show(m.View(noon))
		f.ui.choose(d.Name)
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	for i := range 100 {
		change(i)
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	for i := 100; i < 1000; i++ {
		change(i)
	}
	// The toolkit remembers the sizes of texts for a minute.
	if after := heap(); after > before+8<<20 {
		t.Errorf("the heap was %d kB after 100 changes, and is %d kB after 1000", before>>10, after>>10)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines were running, and are now %d", goroutines, n)
	}
}

func BenchmarkChange(b *testing.B) {
	for _, n := range []int{20, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newFixture(b, theme.VariantLight)
			m := f.crowd(n)
			f.ui.Show(m.View(noon))
			d := many(n)[2]
			for b.Loop() {
				d.Cache.Used += 1_000_000
				m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d})
				f.ui.Show(m.View(noon))
			}
		})
	}
}

func BenchmarkScroll(b *testing.B) {
	f := newFixture(b, theme.VariantLight)
	f.ui.Show(f.crowd(500).View(noon))
	offset := float32(0)
	for b.Loop() {
		if offset += 20; offset > 30000 {
			offset = 0
		}
		f.ui.list.ScrollToOffset(offset)
	}
}
