package providertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moorage/moorage/providers"
)

func (s *suite) testWrite(t *testing.T) {
	p := s.open(t)
	defer p.Close()
	w, ok := p.(providers.Writer)
	if !ok || !p.Info().Writable {
		if p.Info().Writable {
			t.Error("Info says Writable, but there is no Writer")
		}
		t.Skip("this remote cannot be written")
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	put := func(path, data string, c providers.Cond) (providers.Entry, error) {
		return w.Put(ctx, path, source(data), providers.PutOptions{Cond: c})
	}
	must := func(e providers.Entry, err error) providers.Entry {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	holds := func(path, want string) {
		t.Helper()
		if got, err := content(ctx, p, path, ""); err != nil || got != want {
			t.Errorf("%q holds %q, %v, want %q", path, got, err, want)
		}
	}

	one := must(put("f", "one", providers.Cond{IfAbsent: true}))
	if one.Name != "f" || one.Size != 3 || one.Version == "" {
		t.Errorf("Put gave %+v", one)
	}
	if st, err := p.Stat(ctx, "f"); err != nil || st.Version != one.Version {
		t.Errorf("Put gave version %q, Stat says %q, %v", one.Version, st.Version, err)
	}
	_, err := put("f", "lost", providers.Cond{IfAbsent: true})
	wantErr(t, "put of what exists", err, providers.ErrExist)
	holds("f", "one")
	two := must(put("f", "two and more", providers.Cond{IfVersion: one.Version}))
	holds("f", "two and more")
	_, err = put("f", "lost", providers.Cond{IfVersion: one.Version})
	wantErr(t, "put over a version not seen", err, providers.ErrChanged)
	_, err = put("absent", "lost", providers.Cond{IfVersion: one.Version})
	wantErr(t, "put over what is gone", err, providers.ErrChanged)
	wantErr(t, "remove of a version not seen", w.Remove(ctx, "f", providers.Cond{IfVersion: one.Version}), providers.ErrChanged)
	holds("f", "two and more")
	_, err = put("no/such", "x", providers.Cond{})
	wantErr(t, "put below nothing", err, providers.ErrNotExist)
	_, err = put("f/x", "x", providers.Cond{})
	wantErr(t, "put below a file", err, providers.ErrNotDir)

	must(w.Mkdir(ctx, "d"))
	_, err = w.Mkdir(ctx, "d")
	wantErr(t, "mkdir of what exists", err, providers.ErrExist)
	_, err = w.Mkdir(ctx, "no/such")
	wantErr(t, "mkdir below nothing", err, providers.ErrNotExist)
	_, err = put("d", "x", providers.Cond{})
	wantErr(t, "put over a directory", err, providers.ErrIsDir)
	wantErr(t, "remove of a directory", w.Remove(ctx, "d", providers.Cond{}), providers.ErrIsDir)
	wantErr(t, "rmdir of a file", w.Rmdir(ctx, "f"), providers.ErrNotDir)
	wantErr(t, "remove of nothing", w.Remove(ctx, "absent", providers.Cond{}), providers.ErrNotExist)
	must(put("d/f", "in d", providers.Cond{}))
	wantErr(t, "rmdir of a full directory", w.Rmdir(ctx, "d"), providers.ErrNotEmpty)

	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	timed := must(w.Put(ctx, "timed", source("x"), providers.PutOptions{ModTime: when}))
	if prec := p.Info().TimePrecision; prec > 0 && timed.ModTime.Sub(when).Abs() > prec {
		t.Errorf("put with time %v gave %v", when, timed.ModTime)
	}
	big := strings.Repeat("0123456789abcdef", 1<<16)
	must(put("big", big, providers.Cond{}))
	holds("big", big)

	if m, ok := p.(providers.Mover); ok {
		s.testMove(t, ctx, p, m, two)
	} else if err := w.Remove(ctx, "d/f", providers.Cond{}); err != nil {
		t.Error(err)
	} else if err := w.Rmdir(ctx, "d"); err != nil {
		t.Error(err)
	}
	got, err := list(ctx, p, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range got {
		remove := w.Remove
		if e.Mode.IsDir() {
			remove = func(ctx context.Context, p string, _ providers.Cond) error { return w.Rmdir(ctx, p) }
		}
		if err := remove(ctx, name, providers.Cond{}); err != nil {
			t.Errorf("remove %q: %v", name, err)
		}
	}
	if got, err := list(ctx, p, ""); err != nil || len(got) != 0 {
		t.Errorf("after all was removed there is %q, %v", sorted(got), err)
	}
}

// testMove finds the file f of version v, the files timed and big, and d/f. It
// leaves d empty.
func (s *suite) testMove(t *testing.T, ctx context.Context, p providers.Provider, m providers.Mover, v providers.Entry) {
	_, err := m.Move(ctx, "absent", "x", providers.Cond{})
	wantErr(t, "move of nothing", err, providers.ErrNotExist)
	_, err = m.Move(ctx, "timed", "f", providers.Cond{IfAbsent: true})
	wantErr(t, "move to what exists", err, providers.ErrExist)
	_, err = m.Move(ctx, "timed", "f", providers.Cond{IfVersion: "no such version"})
	wantErr(t, "move over a version not seen", err, providers.ErrChanged)
	_, err = m.Move(ctx, "timed", "d", providers.Cond{})
	wantErr(t, "move over a directory", err, providers.ErrExist)
	if _, err := m.Move(ctx, "d", "d/below", providers.Cond{}); err == nil {
		t.Error("a directory was moved below itself")
	}
	if e, err := m.Move(ctx, "timed", "f", providers.Cond{IfVersion: v.Version}); err != nil || e.Name != "f" {
		t.Errorf("move over a file: %+v, %v", e, err)
	}
	if _, err := m.Move(ctx, "d", "e", providers.Cond{}); errors.Is(err, providers.ErrUnsupported) {
		moveByHand(t, ctx, p, m)
	} else if err != nil {
		t.Errorf("move of a directory: %v", err)
	}
	if got, err := content(ctx, p, "e/f", ""); err != nil || got != "in d" {
		t.Errorf("e/f holds %q, %v", got, err)
	}
	if _, err := m.Move(ctx, "e/f", "g", providers.Cond{IfAbsent: true}); err != nil {
		t.Errorf("move out of a directory: %v", err)
	}
	got, err := list(ctx, p, "")
	if err != nil || !slices.Equal(sorted(got), []string{"big", "e", "f", "g"}) {
		t.Errorf("after the moves there is %q, %v", sorted(got), err)
	}
}

// moveByHand moves d with its one file to e, as a caller does where the remote
// cannot move a directory at once.
func moveByHand(t *testing.T, ctx context.Context, p providers.Provider, m providers.Mover) {
	t.Helper()
	w := p.(providers.Writer)
	if _, err := w.Mkdir(ctx, "e"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Move(ctx, "d/f", "e/f", providers.Cond{IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
	if err := w.Rmdir(ctx, "d"); err != nil {
		t.Fatalf("rmdir of what everything was moved out of: %v", err)
	}
}
