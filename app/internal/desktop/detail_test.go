package desktop

import (
	"testing"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

func TestWatchedDriveIsKnownWhole(t *testing.T) {
	r := &remote{running: true, drives: []api.Drive{{Name: "a", Kind: "s3", State: api.Mounted}, {Name: "b", Kind: "s3", State: api.Mounted}}}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	g.Watch("a")
	v := g.until("uploads", func(v model.View) bool { return len(v.Detail.Uploads) == 1 })
	if v.Detail.Name != "a" || v.Detail.Uploads[0].Path != "a.txt" {
		t.Errorf("%+v", v.Detail)
	}
	g.Do(model.KeepHere, "a")
	g.until("kept", func(v model.View) bool { return v.Detail.Offline.On })
	g.Do(model.KeepHere, "a")
	g.until("not kept", func(v model.View) bool { return !v.Detail.Offline.On && v.Detail.Uploads != nil })
	g.Watch("b")
	g.until("the other", func(v model.View) bool { return v.Detail.Name == "b" && len(v.Detail.Uploads) == 1 })
	g.Watch("")
	if v := g.View(); v.Detail.Name != "" {
		t.Errorf("%+v", v.Detail)
	}
	if !r.called(`pin a ""`) || !r.called(`unpin a ""`) {
		t.Error(r.calls)
	}
}

// TestWatchedDriveIsAskedForWhenItChanges: and not for each of many changes.
func TestWatchedDriveIsAskedForWhenItChanges(t *testing.T) {
	r := &remote{running: true, drives: []api.Drive{{Name: "a", State: api.Mounted}}}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	g.Watch("a")
	g.until("uploads", func(v model.View) bool { return len(v.Detail.Uploads) == 1 })
	for n := 1; n <= 50; n++ {
		r.set(api.Drive{Name: "a", State: api.Mounted, Pending: api.Pending{Files: n}})
	}
	g.until("all changes", func(v model.View) bool { return v.Detail.More == "and 49 others" })
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := 0
	for _, c := range r.calls {
		if c == "drive a" {
			asked++
		}
	}
	if asked > 25 {
		t.Errorf("asked %d times for 50 changes", asked)
	}
}

func TestEditRenamesTheWatchedDrive(t *testing.T) {
	r := &remote{running: true, drives: []api.Drive{{Name: "a", State: api.Stopped}}}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	g.Watch("a")
	name := "z"
	done := make(chan *api.Problem, 1)
	g.Edit("a", api.EditDrive{Name: &name}, func(p *api.Problem) { done <- p })
	if p := <-done; p != nil {
		t.Fatal(p)
	}
	r.set(api.Drive{Name: "z", State: api.Stopped})
	g.until("the new name", func(v model.View) bool { return v.Detail.Name == "z" })
	if !r.called("edit a name=z") {
		t.Error(r.calls)
	}
}
