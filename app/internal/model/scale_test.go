package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

// numbered are n drives, which are mounted.
func numbered(n int) []api.Drive {
	var all []api.Drive
	for i := range n {
		name := fmt.Sprintf("drive-%03d", i)
		all = append(all, api.Drive{Name: name, Kind: "git", URL: "git+https://example.org/owner/" + name + ".git",
			State: api.Mounted, Dir: "/home/ann/Moorage/" + name})
	}
	return all
}

// TestManyUploads: what is shown of them, and what it costs, does not grow with them.
func TestManyUploads(t *testing.T) {
	cost := func(n int) float64 {
		d := numbered(1)[0]
		d.Pending = api.Pending{Files: n, Bytes: int64(n) * 1000}
		m := newModel(t, d)
		for i := range n {
			d.Uploads = append(d.Uploads, api.Upload{Path: fmt.Sprintf("folder/%05d.txt", i), State: api.UploadSaved, Total: 1000})
		}
		m.Watch(d.Name)
		m.Whole(d)
		v := m.View(noon)
		if len(v.Detail.Uploads) != uploadLines || !strings.Contains(v.Detail.More, fmt.Sprint(n-uploadLines)) {
			t.Errorf("of %d uploads %d are shown, %q", n, len(v.Detail.Uploads), v.Detail.More)
		}
		return testing.AllocsPerRun(10, func() { m.View(noon) })
	}
	if few, many := cost(100), cost(10_000); many > few+few/4 { // pools that are emptied meanwhile cost some
		t.Errorf("a view takes %v allocations with 100 uploads, and %v with 10000", few, many)
	}
}

// TestOrderOfManyDrives: it is kept, and follows what comes and goes.
func TestOrderOfManyDrives(t *testing.T) {
	m := newModel(t, numbered(300)...)
	names := func() (all []string) {
		for _, r := range m.View(noon).Rows {
			all = append(all, r.Name)
		}
		return all
	}
	want := names()
	for _, e := range []struct {
		kind api.EventKind
		name string
		want []string
	}{
		{api.DriveChanged, "drive-100", want},
		{api.DriveChanged, "Drive-100a", slices.Insert(slices.Clone(want), 101, "Drive-100a")},
		{api.DriveRemoved, "Drive-100a", want},
		{api.DriveRemoved, "drive-000", want[1:]},
	} {
		m.Apply(api.Event{Kind: e.kind, Drive: &api.Drive{Name: e.name, State: api.Stopped}})
		if got := names(); !slices.Equal(got, e.want) {
			t.Errorf("after %s %s there are %d drives: %q", e.kind, e.name, len(got), got)
		}
	}
}

// TestParkedUploadsAreNotUnderWay: they wait for the person, and nothing turns meanwhile.
func TestParkedUploadsAreNotUnderWay(t *testing.T) {
	d := numbered(1)[0]
	d.Pending = api.Pending{Files: 3, Bytes: 3000, Parked: 3}
	m := newModel(t, d)
	v := m.View(noon)
	if r := v.Rows[0]; r.Working || r.Status != "Waits for you" || r.Tone != Warn {
		t.Errorf("the row says %q, at work %v", r.Status, r.Working)
	}
	if v.Tray.Light != Attention || !strings.Contains(v.Summary, "1 needs you") {
		t.Errorf("the tray shows %v, and below the drives is %q", v.Tray.Light, v.Summary)
	}
	d.Pending.Files = 5
	m.Apply(api.Event{Kind: api.DriveChanged, Drive: &d})
	if r := m.View(noon).Rows[0]; !r.Working || !strings.HasPrefix(r.Status, "Uploading 2 files") {
		t.Errorf("with 2 more under way the row says %q, at work %v", r.Status, r.Working)
	}
}

func BenchmarkView(b *testing.B) {
	for _, n := range []int{5, 50, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := newModel(b, numbered(n)...)
			m.Watch("drive-000")
			b.ReportAllocs()
			for b.Loop() {
				m.View(noon)
			}
		})
	}
}
