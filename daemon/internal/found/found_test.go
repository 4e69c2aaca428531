package found

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/providers"
)

// computer is a home folder with files in it.
func computer(t *testing.T, files map[string]string) Options {
	t.Helper()
	home := t.TempDir()
	for name, text := range files {
		p := filepath.Join(home, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Options{Home: home, Env: func(string) string { return "" }, Logger: slog.New(slog.DiscardHandler)}
}

func origin(url string) string {
	return "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = " + url + "\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[branch \"main\"]\n\tremote = origin\n"
}

// names are the URLs of what was found.
func names(all []api.Found) (l []string) {
	for _, f := range all {
		l = append(l, f.Name+" "+f.URL)
	}
	return l
}

func TestLook(t *testing.T) {
	const hush = "hush-hush"
	o := computer(t, map[string]string{
		".aws/config":                "[default]\nregion = eu-central-1\n[profile work]\nregion = eu-west-1\ns3 =\n  max_concurrent_requests = 20\n[sso-session corp]\nsso_region = x\n[profile a[b]\n",
		".aws/credentials":           "[default]\naws_secret_access_key = " + hush + "\n[ci]\naws_access_key_id = AKIA\naws_secret_access_key=" + hush + "\n",
		".config/rclone/rclone.conf": "[minio]\ntype = s3\nprovider = Minio\naccess_key_id = me\nsecret_access_key = " + hush + "\nendpoint = http://minio.local:9000\n\n[drive]\ntype = drive\ntoken = {\"access_token\":\"" + hush + "\"}\n\n[odd]\ntype = s3\nendpoint = ftp://x\n",
		"src/a/.git/config":          origin("https://me:" + hush + "@github.com/o/a.git"),
		"src/deep/b/.git/config":     origin("git@example.org:o/b.git"),
		"src/deep/er/c/.git/config":  origin("https://github.com/o/too-deep.git"),
		"dots/.git/config":           origin("https://github.com/o/dots"),
		"again/.git/config":          origin("https://github.com/o/a.git"),
		"local/.git/config":          origin("/srv/repo.git"),
		"plain/.git/config":          origin("https://git.example.org/o/plain"),
		"none/.git/config":           "[core]\n\tbare = false\n",
		"forks/.git/config":          "[remote \"up\"]\n\turl = https://gitlab.com/g/up.git\n[remote \"my\"]\n\turl = https://gitlab.com/me/up.git\n",
		".hidden/x/.git/config":      origin("https://github.com/o/hidden"),
	})
	all := Look(t.Context(), o)
	want := []string{
		"default s3://?profile=default", "work s3://?profile=work", "ci s3://?profile=ci",
		"minio s3://me@?endpoint=http%3A%2F%2Fminio.local%3A9000",
		"a git+https://github.com/o/a.git", "dots git+https://github.com/o/dots.git", "up git+https://gitlab.com/g/up.git", "up git+https://gitlab.com/me/up.git", "plain git+https://git.example.org/o/plain",
		"a git+https://me@github.com/o/a.git", "b git+ssh://git@example.org/./o/b.git",
	}
	if got := names(all); !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, f := range all {
		if strings.Contains(fmt.Sprint(f), hush) {
			t.Errorf("a secret was taken over: %+v", f)
		}
		url := f.URL
		if f.Gap > 0 {
			url = url[:f.Gap] + "bucket" + url[f.Gap:]
		}
		if u, _, err := providers.ParseURL(url); err != nil || u.Kind != f.Kind {
			t.Errorf("%s names no drive: %+v, %v", url, u, err)
		}
		if _, err := os.Stat(f.From); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

func TestLookLeavesDrivesAlone(t *testing.T) {
	o := computer(t, map[string]string{"src/drive/.git/config": origin("https://github.com/o/a"), "drive/.git/config": origin("https://github.com/o/b"), "x/.git/config": origin("https://github.com/o/c")})
	o.Skip = []string{filepath.Join(o.Home, "drive"), filepath.Join(o.Home, "src", "drive")}
	if got := names(Look(t.Context(), o)); !slices.Equal(got, []string{"c git+https://github.com/o/c.git"}) {
		t.Errorf("found %q", got)
	}
}

func TestLookIsBounded(t *testing.T) {
	files := map[string]string{".aws/config": strings.Repeat("x", maxFile+1)}
	for i := range 2 * maxFound {
		files[fmt.Sprintf("src/r%03d/.git/config", i)] = origin(fmt.Sprintf("https://github.com/o/r%03d", i))
	}
	o := computer(t, files)
	if n := len(Look(t.Context(), o)); n != maxFound {
		t.Errorf("found %d", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n := len(Look(ctx, o)); n != 0 {
		t.Errorf("found %d after it was called off", n)
	}
}

// What git itself writes and reads is read alike.
func TestGitRemotesAsGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is needed in CI: ", err)
		}
		t.Skip("git is not installed")
	}
	file := filepath.Join(t.TempDir(), "config")
	for name, url := range map[string]string{
		"origin": "https://github.com/o/r.git", "with \"quotes\" and ]": `C:\repos\x y`, "a#b": "https://h/r.git#x;y", "tabs": "a\tb \"c\" ",
	} {
		if out, err := exec.Command("git", "config", "-f", file, "remote."+name+".url", url).CombinedOutput(); err != nil {
			t.Fatalf("git config: %v: %s", err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := gitRemotes(b); !slices.Contains(got, remote{name, url}) {
			t.Errorf("%q of %q is not among %q\n%s", url, name, got, b)
		}
	}
	for text, want := range map[string]string{
		"[remote \"x\"] url = a\n":                           "a",
		"[Remote \"x\"]\r\n  URL=\"a b\" # c\r\n":            "a b",
		"[remote \"x\"]\nurl = a\\\nb\n":                     "ab",
		"[remote \"x\"]\nurl = first\nurl = second\n":        "first",
		"[remote \"x\"]\nurl = \"open\n":                     "",
		"[remote]\nurl = a\n[remotes \"x\"]\nurl = b\n":      "",
		"url = a\n[branch \"x\"]\nurl = b\n[remote \"x\nurl": "",
	} {
		got := ""
		if l := gitRemotes([]byte(text)); len(l) > 0 {
			got = l[0].url
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzGitRemotes(f *testing.F) {
	f.Add([]byte(origin("https://github.com/o/r.git")))
	f.Add([]byte("[remote \"a\\\"b\"]\nurl = \"x\\ty\" ; c\\\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		for _, r := range gitRemotes(b) {
			total += len(r.url)
			if r.url == "" {
				t.Error("a remote without an address")
			}
		}
		if total > len(b) {
			t.Errorf("%d bytes came out of %d", total, len(b))
		}
	})
}

func FuzzINI(f *testing.F) {
	f.Add([]byte("[default]\nregion = x\n[profile y]\naws_secret_access_key = hush\n"))
	f.Add([]byte("# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nabc=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range parseINI(b) {
			for k, v := range s.keys {
				if slices.Contains(secretKeys, k) || k != strings.ToLower(k) || strings.ContainsAny(v, "\n") {
					t.Errorf("%q = %q", k, v)
				}
			}
		}
	})
}
