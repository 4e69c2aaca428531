package config

import (
	"errors"
	"strings"
	"testing"
)

func set(t *testing.T, f *File, edit func(*Settings)) Settings {
	t.Helper()
	s, err := f.SetSettings(edit)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func settings(t *testing.T, f *File) Settings {
	t.Helper()
	s, err := f.Settings()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSettingsRoundTrip(t *testing.T) {
	f := file(t, "")
	if s := settings(t, f); s != (Settings{}) {
		t.Fatalf("a missing file has settings %+v", s)
	}
	want := Settings{CacheDir: `~/a "b" \ ' ü`, CacheLimit: 1 << 40, UploadLimit: 100_000, DownloadLimit: MinCache, Proxy: "socks5://[::1]:1080", MountDir: "~/Drives"}
	set(t, f, func(s *Settings) { *s = want })
	if s := settings(t, f); s != want {
		t.Fatalf("got %+v\n%s", s, read(t, f))
	}
	d := Drive{ID: "1111111111111111", Name: "a", URL: "mem:"}
	if err := f.Put(d); err != nil {
		t.Fatal(err)
	}
	want.Proxy, want.CacheDir = "", ""
	set(t, f, func(s *Settings) { s.Proxy, s.CacheDir = "", "" })
	if s := settings(t, f); s != want {
		t.Errorf("got %+v\n%s", s, read(t, f))
	}
	if l := load(t, f); len(l) != 1 || l[0] != d {
		t.Errorf("the drives are %+v", l)
	}
	if err := f.Remove(d.ID); err != nil {
		t.Fatal(err)
	}
	if s := settings(t, f); s != want {
		t.Errorf("without drives: %+v\n%s", s, read(t, f))
	}
}

func TestSettingsChangeOnlyTheirLines(t *testing.T) {
	const text = `# My drives
version = 1

  [settings] # mine
  proxy = "none"   # the office's # is broken
  upload_limit = 50000
  # not more than the contract says
  colour = "blue"

# the big one
[[drive]]
id = "aaaaaaaaaaaaaaaa"
name = "one"
url = "mem:" # settings
`
	f := file(t, text)
	set(t, f, func(s *Settings) { s.Proxy, s.UploadLimit, s.CacheLimit = "http://p.example:3128", 0, 1<<30 })
	want := strings.NewReplacer(`"none" `, `'http://p.example:3128' `, `= 50000`, `= 0`,
		"[settings] # mine\n", "[settings] # mine\ncache_limit = 1073741824\n").Replace(text)
	if got := read(t, f); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	before := read(t, f)
	set(t, f, func(*Settings) {})
	if read(t, f) != before {
		t.Error("a change of nothing changed the file")
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	for name, tt := range map[string]struct {
		text string // also the line at which it is wrong
		line int
	}{
		"folder":      {"[settings]\ncache_dir = \"cache\"\n", 2},
		"mounts":      {"\n\n[settings]\n\nmount_dir = \"a/b\"\n", 5},
		"small cache": {"[settings]\ncache_limit = 1000\n", 2},
		"negative":    {"[settings]\nupload_limit = 2048\ndownload_limit = -1\n", 3},
		"slow":        {"[settings]\nupload_limit = 100\n", 2},
		"text":        {"[settings]\nupload_limit = \"1 MB\"\n", 2},
		"proxy":       {"[settings]\nproxy = \"proxy.example\"\n", 2},
		"password":    {"[settings]\nproxy = \"http://ann:hunter2@proxy.example\"\n", 2},
		"inline":      {"settings = {proxy = \"x\"}\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := file(t, tt.text)
			var e *Error
			if _, err := f.Settings(); !errors.As(err, &e) || e.Line != tt.line || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Settings: %v, want an *Error at line %d without a password", err, tt.line)
			}
			if _, _, err := f.Load(); !errors.As(err, &e) {
				t.Errorf("Load: %v", err)
			}
			if _, err := f.SetSettings(func(s *Settings) { *s = Settings{} }); err == nil {
				t.Error("SetSettings succeeded")
			}
			if got := read(t, f); got != tt.text {
				t.Errorf("the file was changed to %q", got)
			}
		})
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	f := file(t, "[settings]\nproxy = 'none'\n")
	for key, edit := range map[string]func(*Settings){
		"cache_dir":      func(s *Settings) { s.CacheDir = "." },
		"cache_limit":    func(s *Settings) { s.CacheLimit = -1 },
		"upload_limit":   func(s *Settings) { s.UploadLimit = 1 },
		"download_limit": func(s *Settings) { s.DownloadLimit = -5 },
		"proxy":          func(s *Settings) { s.Proxy = "http://a:b@c" },
		"mount_dir":      func(s *Settings) { s.MountDir = "~/a\nb" },
	} {
		var e *InvalidError
		if _, err := f.SetSettings(edit); !errors.As(err, &e) || e.Key != key {
			t.Errorf("%s: %v", key, err)
		}
	}
	if s := settings(t, f); s != (Settings{Proxy: "none"}) {
		t.Errorf("after refusals: %+v", s)
	}
}

// A form that the editor does not understand is left alone.
func TestSettingsInAnotherForm(t *testing.T) {
	for name, text := range map[string]string{
		"inline": "settings = {proxy = 'none'}\n",
		"dotted": "settings.proxy = 'none'\n",
		"lines":  "[settings]\nproxy = '''\nnone'''\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := file(t, text)
			if s := settings(t, f); s.Proxy != "none" {
				t.Fatalf("got %+v", s)
			}
			if _, err := f.SetSettings(func(s *Settings) { s.Proxy = "" }); !errors.Is(err, ErrForm) {
				t.Errorf("%v, want ErrForm", err)
			}
			if got := read(t, f); got != text {
				t.Errorf("the file was changed to %q", got)
			}
		})
	}
}
