package faults

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/moorage/moorage/daemon/internal/drive/drivetest/rough"
	"github.com/moorage/moorage/providers"
)

// story is something that a client does, which is cut off at each of its steps.
type story struct {
	name   string
	kinds  []rough.Kind // nil: Full
	remote tree         // what is there at first
	client func(w *world)
	parts  bool // the remote takes large files in parts
}

var (
	everyKind = []rough.Kind{rough.Full, rough.Objects, rough.Still}
	folder    = tree{"d/": "", "d/a": "one", "d/b": "two", "d/e/": "", "d/e/f": "three"}
)

func stories() []story {
	long := strings.Repeat("0123456789abcdef", 6<<10)
	return []story{
		{name: "a new file", client: func(w *world) { w.save("f", long) }},
		{name: "a file that is changed in part", remote: tree{"f": long}, kinds: []rough.Kind{rough.Full, rough.Objects}, client: func(w *world) { w.write("f", "other", 50_000) }},
		{name: "a file that is cut", remote: tree{"f": long}, client: func(w *world) { w.truncate("f", 70_000) }},
		{name: "a large file in parts", parts: true, kinds: []rough.Kind{rough.Objects}, client: func(w *world) { w.save("f", strings.Repeat(long, 86)) }},
		{name: "a folder and a file in it", client: func(w *world) { w.mkdir("d"); w.save("d/f", "text") }},
		{name: "a file that is moved", kinds: everyKind, remote: tree{"d/": "", "f": "text"}, client: func(w *world) { w.rename("f", "d/g") }},
		{name: "a file that is moved and changed", kinds: everyKind, remote: tree{"d/": "", "f": long}, client: func(w *world) { w.rename("f", "d/g"); w.write("d/g", "other", 5) }},
		{name: "a folder that is moved", kinds: everyKind, remote: folder, client: func(w *world) { w.rename("d", "g") }},
		{name: "a link", client: func(w *world) { w.symlink("l", "to/there") }},
		{name: "a file and a folder that are removed", remote: tree{"d/": "", "d/f": "text"}, client: func(w *world) { w.remove("d/f"); w.rmdir("d") }},
		{name: "a file that is replaced by a new one", kinds: []rough.Kind{rough.Full, rough.Objects}, remote: tree{"f": "old"}, client: func(w *world) {
			w.save("f.tmp", "new")
			w.rename("f.tmp", "f")
		}},
		{name: "files that swap names", kinds: everyKind, remote: tree{"a": "one", "b": "two"}, client: func(w *world) {
			w.rename("a", "t")
			w.rename("b", "a")
			w.rename("t", "b")
		}},
		{name: "folders that swap names", kinds: []rough.Kind{rough.Full, rough.Objects}, remote: tree{"a/": "", "a/f": "one", "b/": "", "b/g": "two"}, client: func(w *world) {
			w.rename("a", "t")
			w.rename("b", "a")
			w.rename("t", "b")
		}},
		{name: "a file that somebody else changes", kinds: []rough.Kind{rough.Full, rough.Objects}, remote: tree{"f.txt": "old"}, client: func(w *world) {
			w.write("f.txt", "mine", 0)
			if !w.isDead() {
				w.edit("f.txt", "theirs")
			}
		}},
	}
}

// cutAt tells that a process is to end at the nth time that it comes to a step.
type cutAt struct {
	step  string
	n     int
	power bool
}

func (c cutAt) String() string {
	what := "killed"
	if c.power {
		what = "power lost"
	}
	return fmt.Sprintf("%s at %s %d", what, c.step, c.n)
}

// play goes through a story and gives the steps that it came to.
func (s story) play(t *testing.T, kind rough.Kind, at *cutAt) (steps []string) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, rough.Options{Kind: kind})
		if s.parts {
			depot := newDepot(1 << 20)
			w.provide = func(r *rough.Session) providers.Provider { return depot.connect(r) }
			defer func() {
				if n := depot.most(); n > 2 {
					t.Errorf("a part was sent %d times", n)
				}
			}()
		}
		w.has(s.remote)
		w.open()
		w.verify()
		if at != nil {
			seen := 0
			w.mu.Lock() // steps are taken in the background already
			w.power = at.power
			w.cut = func(_ int, step string) bool {
				if step == at.step {
					seen++
				}
				return step == at.step && seen == at.n
			}
			w.mu.Unlock()
		}
		s.client(w)
		if err := w.settle(); err != nil {
			t.Fatal(err)
		}
		if at != nil {
			if w.isDead() {
				w.oldOrNew()
				w.restart()
			} else if at.n == 1 && at.step != "collect" { // that is done when the drive opens
				t.Errorf("it did not come to %s: %q", at.step, w.steps)
			} else { // what waits a moment here need not always be published
				t.Logf("it did not come to %s for the time %d: %q", at.step, at.n, w.steps)
			}
		}
		w.ends()
		steps = w.steps
	})
	return steps
}

// oldOrNew looks whether all that is on the remote while nobody works on it is
// something that was on the drive.
func (w *world) oldOrNew() {
	w.t.Helper()
	got := w.remoteTree()
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, content := range got {
		if !w.known[content] && !w.torn {
			w.t.Errorf("the remote has %.40q (%d bytes) as %s", content, len(content), p)
		}
	}
}

// TestCrashAtEachStep kills the process and cuts the power before each step of the
// stories, and looks what is left.
func TestCrashAtEachStep(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	covered := map[string]bool{}
	missing := 0
	for _, s := range stories() {
		kinds := s.kinds
		if kinds == nil {
			kinds = []rough.Kind{rough.Full}
		}
		for _, kind := range kinds {
			missing++
			t.Run(s.name+" "+kind.String(), func(t *testing.T) {
				t.Parallel()
				var steps []string
				t.Run("whole", func(t *testing.T) { steps = s.play(t, kind, nil) })
				times := map[string]int{}
				for _, step := range steps {
					times[step]++
				}
				mu.Lock()
				missing--
				for step := range times {
					covered[step] = true
				}
				mu.Unlock()
				for _, step := range slices.Sorted(maps.Keys(times)) {
					for n := 1; n <= times[step]; n++ {
						if n > 2 && n < times[step] {
							continue // in the middle of many of one kind
						}
						for _, power := range []bool{false, true} {
							at := cutAt{step, n, power}
							t.Run(at.String(), func(t *testing.T) { s.play(t, kind, &at) })
						}
					}
				}
			})
		}
	}
	t.Cleanup(func() {
		if missing > 0 {
			return // not all were asked for
		}
		for _, step := range stepsOfTheEngine(t) {
			if !covered[step] {
				t.Errorf("no story comes to the step %q", step)
			}
		}
	})
}

// stepsOfTheEngine are the names of all steps in the engine's source.
func stepsOfTheEngine(t *testing.T) []string {
	files, err := filepath.Glob("../../*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the source of the engine is not where it was: %v", err)
	}
	call := regexp.MustCompile(`\.step\("([^"]+)"\)`)
	found := map[string]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllSubmatch(b, -1) {
			found[string(m[1])] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
