package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func file(t *testing.T, text string) *File {
	t.Helper()
	p := filepath.Join(t.TempDir(), "moorage", "config.toml")
	if text != "" {
		if err := os.Mkdir(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return New(p)
}

func read(t *testing.T, f *File) string {
	t.Helper()
	b, err := os.ReadFile(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func load(t *testing.T, f *File) []Drive {
	t.Helper()
	l, w, err := f.Load()
	if err != nil || len(w) > 0 {
		t.Fatalf("Load: %v, warnings %q", err, w)
	}
	return l
}

func TestPutLoadRemove(t *testing.T) {
	f := file(t, "")
	if l := load(t, f); len(l) != 0 {
		t.Fatalf("a missing file has drives %v", l)
	}
	a := Drive{ID: "1111111111111111", Name: "a", URL: "mem:"}
	b := Drive{ID: "2222222222222222", Name: "bé \"q\" \\ '", URL: "/home/x\ty", Dir: "/m/b", ReadOnly: true, Auto: true}
	for _, d := range []Drive{a, b} {
		if err := f.Put(d); err != nil {
			t.Fatal(err)
		}
	}
	if l := load(t, f); !slices.Equal(l, []Drive{a, b}) {
		t.Fatalf("got %+v", l)
	}
	b.Name, b.Dir, b.Auto = "c", "", false
	if err := f.Put(b); err != nil {
		t.Fatal(err)
	}
	if l := load(t, f); !slices.Equal(l, []Drive{a, b}) {
		t.Fatalf("after a change: %+v\n%s", l, read(t, f))
	}
	if err := f.Remove("1111111111111111"); err != nil {
		t.Fatal(err)
	}
	if l := load(t, f); !slices.Equal(l, []Drive{b}) {
		t.Fatalf("after Remove: %+v", l)
	}
	st, err := os.Stat(f.Path())
	if err != nil || st.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

const byHand = `# My drives
version = 1
colour = "blue"   # for later

# the big one
[[drive]]
  name = "one"   # keep this comment
  url = 'git+https://example.org/one.git'
  id = "aaaaaaaaaaaaaaaa"
  [drive.extra]
  size = 3

# the second
[[drive]]
id = "bbbbbbbbbbbbbbbb"
name = "two"
auto = true
url = "mem:"

[other]
x = 1
`

func TestEditKeepsWhatPeopleWrote(t *testing.T) {
	f := file(t, byHand)
	l, warnings, err := f.Load()
	if err != nil || len(l) != 2 {
		t.Fatalf("%v, %v", l, err)
	}
	if len(warnings) != 3 || !strings.Contains(warnings[0], "line 3") {
		t.Errorf("warnings %q, want three, the first about line 3", warnings)
	}
	l[1].Auto, l[1].ReadOnly, l[1].Name = false, true, "zwei"
	if err := f.Put(l[1]); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(byHand, "name = \"two\"\nauto = true\nurl = \"mem:\"\n",
		"name = 'zwei'\nauto = false\nurl = \"mem:\"\nread_only = true\n", 1)
	if got := read(t, f); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if err := f.Remove("aaaaaaaaaaaaaaaa"); err != nil {
		t.Fatal(err)
	}
	got := read(t, f)
	if strings.Contains(got, "one.git") || strings.Contains(got, "size = 3") ||
		!strings.Contains(got, "[other]\nx = 1") || !strings.Contains(got, "# the second") {
		t.Errorf("after Remove:\n%s", got)
	}
}

func TestDrivesByHandGetIDs(t *testing.T) {
	f := file(t, "[[drive]]\nname = \"a\"\nurl = \"mem:\"\n[[drive]]\nid = \"1111111111111111\"\nname = \"b\"\nurl = \"mem:\"\n[[drive]]\nid = \"1111111111111111\"\nname = \"c\"\nurl = \"mem:\"")
	l := load(t, f)
	if len(l) != 3 || len(l[0].ID) != 16 || l[1].ID != "1111111111111111" || l[2].ID == "1111111111111111" || l[2].ID == l[0].ID {
		t.Fatalf("ids: %+v", l)
	}
	if again := load(t, f); !slices.Equal(again, l) {
		t.Errorf("the ids were not stored: %+v", again)
	}
}

func TestCorruptFileIsReportedAndLeft(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		line int
	}{
		"syntax":         {"version = 1\n[[drive]]\nname = \"a\nurl = 1\n", 3},
		"wrong type":     {"[[drive]]\nname = \"a\"\nurl = 1\n", 3},
		"no url":         {"\n[[drive]]\nname = \"a\"\n", 2},
		"no name":        {"[[drive]]\nurl = \"mem:\"\n", 1},
		"two of a name":  {"[[drive]]\nname=\"a\"\nurl=\"mem:\"\n[[drive]]\nname=\"a\"\nurl=\"mem:\"\n", 4},
		"later version":  {"version = 2\n", 0},
		"not even text":  {"\x00\xff\x80", 1},
		"half a file":    {"version = 1\n[[drive]]\nname = \"a\"\nurl = \"mem", 4},
		"conflict marks": {"version = 1\n<<<<<<< HEAD\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := file(t, tt.text)
			var e *Error
			if _, _, err := f.Load(); !errors.As(err, &e) || e.Line != tt.line {
				t.Errorf("Load: %v, want an *Error at line %d", err, tt.line)
			}
			if err := f.Put(Drive{ID: "1111111111111111", Name: "x", URL: "mem:"}); err == nil {
				t.Error("Put succeeded")
			}
			if err := f.Remove("1111111111111111"); err == nil {
				t.Error("Remove succeeded")
			}
			if got := read(t, f); got != tt.text {
				t.Errorf("the file was changed to %q", got)
			}
		})
	}
}

// What the line-wise editor does not understand is refused, never damaged.
func TestUnusualFormsAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"inline":     "drive = [{id = \"1111111111111111\", name = \"a\", url = \"mem:\"}]\n",
		"multi-line": "[[drive]]\nid = \"1111111111111111\"\nurl = \"mem:\"\nname = \"\"\"\na\n[[drive]]\n\"\"\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := file(t, text)
			if l := load(t, f); len(l) != 1 {
				t.Fatalf("got %+v", l)
			}
			if err := f.Put(Drive{ID: "1111111111111111", Name: "b", URL: "mem:"}); !errors.Is(err, ErrForm) {
				t.Errorf("Put: %v, want ErrForm", err)
			}
			if got := read(t, f); got != text {
				t.Errorf("the file was changed to %q", got)
			}
		})
	}
}

func TestFileBehindLink(t *testing.T) {
	f := file(t, "")
	real := filepath.Join(t.TempDir(), "dotfiles.toml")
	if err := os.WriteFile(real, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(f.Path()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, f.Path()); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	if err := f.Put(Drive{ID: "1111111111111111", Name: "a", URL: "mem:"}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(real); err != nil || !strings.Contains(string(b), "mem:") {
		t.Errorf("the linked file holds %q, %v", b, err)
	}
}
