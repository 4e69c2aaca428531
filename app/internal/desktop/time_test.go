package desktop

import (
	"testing"
	"time"

	"github.com/moorage/moorage/app/internal/model"
	"github.com/moorage/moorage/daemon/api"
)

func TestRevisionsOfADrive(t *testing.T) {
	main := "main"
	r := &remote{running: true, drives: []api.Drive{{Name: "a", State: api.Mounted, Shown: &api.Shown{Revision: "v1", Back: &main}}, {Name: "b", State: api.Mounted, Shown: &api.Shown{}}}}
	g := newRig(t, r, Backoff{})
	g.until("up", up)
	if d, ok := g.Drive("a"); !ok || d.Shown.Revision != "v1" {
		t.Errorf("%+v", d)
	}
	type answer struct {
		r api.Revisions
		p *api.Problem
	}
	got := make(chan answer, 1)
	g.Revisions("a", api.RevisionQuery{Find: "x"}, func(r api.Revisions, p *api.Problem) { got <- answer{r, p} })
	if a := <-got; a.p != nil || a.r.Default != "of a" || a.r.Next != "x" {
		t.Errorf("%+v", a)
	}
	done := make(chan *api.Problem, 1)
	g.Revise("a", "v2", func(p *api.Problem) { done <- p })
	if p := <-done; p != nil || !r.called(`edit a revision="v2"`) {
		t.Errorf("%+v, %q", p, r.calls)
	}
	g.Do(model.GoBack, "a")
	g.until("the way back", func(model.View) bool { return r.called(`edit a revision="main"`) })
	g.Do(model.GoBack, "b") // which has none
	if r.called(`edit b revision=""`) {
		t.Error("a drive that follows a branch was moved")
	}

	// What is refused is told.
	r.mu.Lock()
	r.fail = &api.Error{Problem: api.Problem{What: "There is no such branch."}}
	r.mu.Unlock()
	g.Revise("a", "v3", func(p *api.Problem) { done <- p })
	if p := <-done; p == nil || p.What != "There is no such branch." {
		t.Errorf("%+v", p)
	}
	g.Do(model.GoBack, "a")
	g.until("the refusal", func(v model.View) bool { return row(v, "a").Notice.What == "There is no such branch." })
}

// What is asked when the app ends is called off, and nobody is told.
func TestRevisionsAreCalledOffAtTheEnd(t *testing.T) {
	g := newRig(t, &remote{running: true}, Backoff{})
	g.until("up", up)
	began := time.Now()
	g.Close()
	g.Revisions("a", api.RevisionQuery{}, func(api.Revisions, *api.Problem) { t.Error("told after the end") })
	g.Revise("a", "x", func(*api.Problem) { t.Error("told after the end") })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
