package mem_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/moorage/moorage/providers"
	"github.com/moorage/moorage/providers/mem"
	"github.com/moorage/moorage/providers/providertest"
)

func TestProvider(t *testing.T) {
	providertest.Run(t, func(*testing.T) providers.Provider { return mem.New(mem.Options{PageSize: 7}) })
}

func TestProviderThatKeepsVersions(t *testing.T) {
	providertest.Run(t, func(*testing.T) providers.Provider { return mem.New(mem.Options{KeepVersions: true}) })
}

func TestQuota(t *testing.T) {
	r := mem.New(mem.Options{Quota: 10})
	if _, err := r.Put(t.Context(), "f", strings.NewReader("12345678"), providers.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Put(t.Context(), "g", strings.NewReader("123"), providers.PutOptions{}); !errors.Is(err, providers.ErrFull) {
		t.Errorf("put over the quota: %v", err)
	}
	if used, total, err := r.Usage(t.Context()); used != 8 || total != 10 || err != nil {
		t.Errorf("usage %d of %d, %v", used, total, err)
	}
}

// A directory's version tells of changes anywhere below it.
func TestTreeVersions(t *testing.T) {
	r := mem.New(mem.Options{})
	ctx := t.Context()
	for _, d := range []string{"a", "a/b", "c"} {
		if _, err := r.Mkdir(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	version := func(p string) providers.Version {
		e, err := r.Stat(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		return e.Version
	}
	root, a, c := version(""), version("a"), version("c")
	if _, err := r.Put(ctx, "a/b/f", strings.NewReader("x"), providers.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if version("") == root || version("a") == a || version("c") != c {
		t.Errorf("versions: root %q → %q, a %q → %q, c %q → %q", root, version(""), a, version("a"), c, version("c"))
	}
}
