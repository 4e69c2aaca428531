package lfs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const good = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"

func TestParsePointer(t *testing.T) {
	p, err := ParsePointer([]byte(good))
	if err != nil || p.Size != 12345 || p.String() != good {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := ParsePointer([]byte(strings.Replace(good, "git-lfs", "hawser", 1))); err != nil {
		t.Errorf("an old version: %v", err)
	}
	for _, bad := range []string{
		"", "\n", good[:len(good)-1], good + "\n", good + "x y\n", strings.ToUpper(good), strings.Replace(good, "\n", "\r\n", 3),
		strings.Replace(good, "v1", "v2", 1), strings.Replace(good, "sha256", "sha512", 1), strings.Replace(good, "4d7a", "4D7A", 1),
		strings.Replace(good, "4d7a", "", 1), strings.Replace(good, "size 1", "size -1", 1), strings.Replace(good, "size 1", "size 01", 1),
		strings.Replace(good, "12345", "99999999999999999999", 1), strings.Replace(good, "oid", "ext-0-foo sha256:x\noid", 1), good + strings.Repeat(" ", 2000),
	} {
		if p, err := ParsePointer([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, p)
		}
	}
}

// TestAttributes compares with git check-attr.
func TestAttributes(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is missing, and CI=true")
		}
		t.Skip("git is not installed")
	}
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv("HOME", t.TempDir())
	files := map[string]string{
		".gitattributes": `# comment
*.bin filter=lfs diff=lfs merge=lfs -text
[attr]large filter=lfs -diff
*.iso large
/top.dat filter=lfs
sub/*.dat filter=lfs
deep/**/x filter=lfs
**/any/*.q filter=lfs
end/** filter=lfs
mid/**/end.z filter=lfs
a?c filter=lfs
[x-z]*.k filter=lfs
[!x-z]*.l filter=lfs
[[:digit:]]*.n filter=lfs
"quoted name.m" filter=lfs
"tab\tx" filter=lfs
not/ filter=lfs
!neg filter=lfs
esc\*d filter=lfs
no.bin -filter
un.bin !filter
*.set filter
other.bin filter=crypt
star*star*star.s filter=lfs
`,
		"sub/.gitattributes": "*.bin !filter\nkeep.bin filter=lfs\n/here.t filter=lfs\n[attr]large filter=other\nx/y.v filter=lfs\n",
	}
	paths := []string{
		"a.bin", "b/a.bin", "a.bin/c", ".bin", "a.iso", "top.dat", "sub/top.dat", "sub/a.dat", "sub/b/a.dat", "x/sub/a.dat", "deep/x", "deep/a/x", "deep/a/b/x", "x/deep/x",
		"any/a.q", "p/any/a.q", "p/q/any/a.q", "any/b/a.q", "end/a", "end/a/b", "end", "mid/end.z", "mid/a/end.z", "mid/a/b/end.z", "abc", "a/c", "ac", "d/abc",
		"x1.k", "a1.k", "x1.l", "a1.l", "1.n", "a.n", "quoted name.m", "tab\tx", "not/a", "not", "neg", "!neg", "esc*d", "escxd", "no.bin", "un.bin", "a.set", "other.bin",
		"sub/a.bin", "sub/keep.bin", "sub/here.t", "sub/b/here.t", "sub/a.iso", "sub/x/y.v", "sub/z/x/y.v", "starxstarystar.s", "star/star/star.s", "sub/deep/keep.bin", "ünï.bin",
	}
	dir := t.TempDir()
	git := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Stdin = strings.NewReader(strings.Join(paths, "\x00") + "\x00")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %q: %v", args, err)
		}
		return string(out)
	}
	git("init", "-q")
	for name, text := range files {
		os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fields := strings.Split(git("check-attr", "-z", "--stdin", "filter"), "\x00")
	root := Level{"", ParseAttributes([]byte(files[".gitattributes"]))}
	sub := Level{"sub", ParseAttributes([]byte(files["sub/.gitattributes"]))}
	for i, p := range paths {
		want := fields[3*i+2] == "lfs"
		levels := []Level{root}
		if strings.HasPrefix(p, "sub/") {
			levels = append(levels, sub)
		}
		if got := Filter(levels, p) == "lfs"; got != want {
			t.Errorf("%q: lfs %v, git says %q", p, got, fields[3*i+2])
		}
	}
}

func TestWildmatchIsBounded(t *testing.T) {
	start := time.Now()
	if wildmatch(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 2000)) {
		t.Error("matched")
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func TestConfigURL(t *testing.T) {
	for in, want := range map[string]string{
		"":                                      "",
		"[lfs]\n\turl = https://a/b\n":          "https://a/b",
		"[LFS] URL=\"https://a/b\"\n":           "https://a/b",
		"[other]\nurl = x\n":                    "",
		"[lfs \"https://x\"]\nurl = y\n":        "",
		"# url\n[lfs]\n; c\nlocksverify = no\n": "",
	} {
		if got := ConfigURL([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzPointer(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("*.bin filter=lfs\n[attr]x filter=lfs\n\"a\\tb\" x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParsePointer(b); err == nil {
			if again := p.String(); !bytes.Equal(bytes.Replace(b, []byte("//hawser."), []byte("//git-lfs."), 1), []byte(again)) {
				t.Fatalf("%q became %q", b, again)
			}
		}
		ConfigURL(b)
		if len(b) < 500 {
			Filter([]Level{{"", ParseAttributes(b)}}, "some/path/to a/file.bin")
		}
	})
}
