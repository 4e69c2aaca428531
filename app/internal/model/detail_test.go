package model

import (
	"testing"

	"github.com/moorage/moorage/daemon/api"
)

func TestDetail(t *testing.T) {
	d := api.Drive{
		Name: "b", URL: "s3://builds", Kind: "s3", State: api.Mounted, Dir: "/home/ann/Moorage/b", Remembered: true,
		Revision: "0123456789abcdef0123456789abcdef01234567", Pending: api.Pending{Files: 3},
		Cache: api.Cache{Used: 5_000_000, Limit: 20_000_000}, Traffic: api.Traffic{Fetched: 1_500_000},
	}
	m := newModel(t, api.Drive{Name: "a"}, d)
	if v := m.View(noon); v.Detail.Name != "" {
		t.Errorf("nothing is watched, but %q shown", v.Detail.Name)
	}
	m.Watch("b")
	got := m.View(noon).Detail
	if got.Name != "b" || got.Place != "~/Moorage/b" || got.Moment.Text != "01234567" || got.Cache != "5.0 MB of 20.0 MB" || got.Filled != 0.25 ||
		got.Traffic != "1.5 MB read, 0 B written since it was mounted" || got.Publish.Verb != Publish || !got.Auto.Can || got.ReadOnly.Can {
		t.Errorf("%+v", got)
	}
	if got.Offline.Can || len(got.Uploads) != 0 {
		t.Errorf("more is shown than is known: %+v", got)
	}
	d.Uploads = []api.Upload{
		{Path: "x", State: api.UploadRunning, Done: 1, Total: 4}, {Path: "y", State: api.UploadDone, Since: noon},
		{Path: "z", State: api.UploadParked, Problem: &api.Problem{What: "No.", Do: "Ask."}},
	}
	d.Pins = []api.Pin{{Path: "sub", State: api.PinKept}, {Path: "", State: api.PinFetching, Here: 3_000_000, Total: 9_000_000}}
	m.Whole(d)
	got = m.View(noon).Detail
	want := []Line{
		{Path: "x", Status: "Uploading: 1 B of 4 B", Tone: Busy, Share: 0.25}, {Path: "y", Status: "On the remote since 12:30", Tone: Good, Share: -1},
		{Path: "z", Status: "Waits for you", Why: "No. Ask.", Tone: Bad, Share: -1},
	}
	for i := range want {
		if i >= len(got.Uploads) || got.Uploads[i] != want[i] {
			t.Fatalf("%+v, want %+v", got.Uploads, want)
		}
	}
	if got.More != "and 1 other" || !got.Offline.On || !got.Offline.Can || got.Offline.Why != "3.0 MB of 9.0 MB are here." || !m.Kept("b") {
		t.Errorf("%+v", got)
	}
	m.Watch("a")
	m.Whole(d) // an answer that came too late
	if got = m.View(noon).Detail; got.Name != "a" || len(got.Uploads) != 0 || m.Kept("b") {
		t.Errorf("%+v", got)
	}
}

// TestDetailOfManyUploads: who has ten thousand files to upload is shown a few.
func TestDetailOfManyUploads(t *testing.T) {
	d := api.Drive{Name: "a", Kind: "s3", State: api.Mounted, Pending: api.Pending{Files: 10_000}}
	m := newModel(t, d)
	m.Watch("a")
	for range 100 {
		d.Uploads = append(d.Uploads, api.Upload{Path: "f", State: api.UploadSaved})
	}
	m.Whole(d)
	if got := m.View(noon).Detail; len(got.Uploads) != uploadLines || got.More != "and 9950 others" {
		t.Errorf("%d lines, %q", len(got.Uploads), got.More)
	}
}

func TestWhatCanBeChanged(t *testing.T) {
	for _, c := range []struct {
		drive             api.Drive
		readOnly, offline bool
	}{
		{api.Drive{Kind: "s3", State: api.Stopped}, true, false}, {api.Drive{Kind: "s3", State: api.Degraded}, false, true},
		{api.Drive{Kind: "folder", State: api.Mounted}, false, false}, {api.Drive{Kind: "git", State: api.Failed}, true, false},
	} {
		c.drive.Name = "a"
		m := newModel(t, c.drive)
		m.Watch("a")
		m.Whole(c.drive)
		if got := m.View(noon).Detail; got.ReadOnly.Can != c.readOnly || got.Offline.Can != c.offline || got.Auto.Can {
			t.Errorf("%s %s: %+v", c.drive.Kind, c.drive.State, got)
		}
	}
}
