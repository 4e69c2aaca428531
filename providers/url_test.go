package providers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func git(transport, host, path, rev, sub string) URL {
	return URL{Kind: KindGit, Transport: transport, Host: host, Path: path, Revision: rev, Subdir: sub}
}

func hf(path, rev, sub string) URL {
	return URL{Kind: KindHF, Transport: "https", Host: hubHost, Path: path, Revision: rev, Subdir: sub}
}

const sha = "0123456789abcdef0123456789abcdef01234567"

var urlCases = []struct {
	in, canonical, name string
	want                URL
}{
	{"/some/folder", "/some/folder", "folder", URL{Kind: KindFolder, Path: "/some/folder"}},
	{" /some//x/../folder/ \n", "/some/folder", "folder", URL{Kind: KindFolder, Path: "/some/folder"}},
	{"/100%/a#b?", "/100%/a#b?", "a-b", URL{Kind: KindFolder, Path: "/100%/a#b?"}},
	{"/", "/", "folder", URL{Kind: KindFolder, Path: "/"}},
	{`c:\Users\me/x\`, `C:\Users\me\x`, "x", URL{Kind: KindFolder, Path: `C:\Users\me\x`}},
	{"D:/", `D:\`, "D", URL{Kind: KindFolder, Path: `D:\`}},
	{"file:///a/b%20c", "/a/b c", "b-c", URL{Kind: KindFolder, Path: "/a/b c"}},
	{"file://localhost/a", "/a", "a", URL{Kind: KindFolder, Path: "/a"}},
	{"FILE:///C:/Data", `C:\Data`, "Data", URL{Kind: KindFolder, Path: `C:\Data`}},
	{"mem:", "mem:", "mem", URL{Kind: KindMem}},
	{"mem:scratch", "mem:scratch", "scratch", URL{Kind: KindMem, Path: "scratch"}},

	{"git+https://host/repo.git@rev", "git+https://host/repo.git@rev", "repo", git("https", "host", "/repo.git", "rev", "")},
	{"git+http://127.0.0.1:8080/a/b.git@feature/x#docs/api", "git+http://127.0.0.1:8080/a/b.git@feature/x#docs/api", "api",
		URL{Kind: KindGit, Transport: "http", Host: "127.0.0.1", Port: 8080, Path: "/a/b.git", Revision: "feature/x", Subdir: "docs/api"}},
	{"git+https://Host:443/repo", "git+https://host/repo", "repo", git("https", "host", "/repo", "", "")},
	{"git+http://[::1]:80/r.git", "git+http://[::1]/r.git", "r", git("http", "::1", "/r.git", "", "")},
	{"git+ssh://git@host:2222/o/r.git@v1", "git+ssh://git@host:2222/o/r.git@v1", "r",
		URL{Kind: KindGit, Transport: "ssh", Host: "host", Port: 2222, User: "git", Path: "/o/r.git", Revision: "v1"}},
	{"ssh://git@host/o/r.git", "git+ssh://git@host/o/r.git", "r", URL{Kind: KindGit, Transport: "ssh", Host: "host", User: "git", Path: "/o/r.git"}},
	{"ssh://me@host/~/r.git", "git+ssh://me@host/~/r.git", "r", URL{Kind: KindGit, Transport: "ssh", Host: "host", User: "me", Path: "~/r.git"}},
	{"git@host:o/r.git", "git+ssh://git@host/./o/r.git", "r", URL{Kind: KindGit, Transport: "ssh", Host: "host", User: "git", Path: "o/r.git"}},
	{"git@host:/srv/r.git@v2#d", "git+ssh://git@host/srv/r.git@v2#d", "d",
		URL{Kind: KindGit, Transport: "ssh", Host: "host", User: "git", Path: "/srv/r.git", Revision: "v2", Subdir: "d"}},
	{"git@github.com:o/r.git", "git+ssh://git@github.com/o/r.git", "r", URL{Kind: KindGit, Transport: "ssh", Host: "github.com", User: "git", Path: "/o/r.git"}},
	{"myhost:r.git", "git+ssh://myhost/./r.git", "r", git("ssh", "myhost", "r.git", "", "")},
	{"git://host/r.git", "git+git://host/r.git", "r", git("git", "host", "/r.git", "", "")},
	{"git+file:///srv/x.git", "git+file:///srv/x.git", "x", git("file", "", "/srv/x.git", "", "")},
	{"git+file:///C:/x.git@main", "git+file:///C:/x.git@main", "x", git("file", "", "C:/x.git", "main", "")},
	{"https://host/o/r.git", "git+https://host/o/r.git", "r", git("https", "host", "/o/r.git", "", "")},

	{"https://github.com/o/r", "git+https://github.com/o/r.git", "r", git("https", "github.com", "/o/r.git", "", "")},
	{"github.com/o/r/", "git+https://github.com/o/r.git", "r", git("https", "github.com", "/o/r.git", "", "")},
	{"https://www.github.com/o/r?tab=readme-ov-file#usage", "git+https://github.com/o/r.git", "r", git("https", "github.com", "/o/r.git", "", "")},
	{"https://github.com/o/r/tree/v1.2", "git+https://github.com/o/r.git@v1.2", "r", git("https", "github.com", "/o/r.git", "v1.2", "")},
	{"https://github.com/o/r/tree/main/sub/dir", "git+https://github.com/o/r.git?tree=main/sub/dir", "dir",
		URL{Kind: KindGit, Transport: "https", Host: "github.com", Path: "/o/r.git", Revision: "main", Subdir: "sub/dir", SplitOpen: true}},
	{"https://github.com/o/r/tree/feature%2Fx/sub", "git+https://github.com/o/r.git@feature/x#sub", "sub", git("https", "github.com", "/o/r.git", "feature/x", "sub")},
	{"https://github.com/o/r/tree/" + sha + "/sub", "git+https://github.com/o/r.git@" + sha + "#sub", "sub", git("https", "github.com", "/o/r.git", sha, "sub")},
	{"https://github.com/o/r/blob/" + sha + "/sub/main.go", "git+https://github.com/o/r.git@" + sha + "#sub", "sub", git("https", "github.com", "/o/r.git", sha, "sub")},
	{"https://github.com/o/r/commit/" + sha, "git+https://github.com/o/r.git@" + sha, "r", git("https", "github.com", "/o/r.git", sha, "")},
	{"https://github.com/o/r/releases/tag/v1", "git+https://github.com/o/r.git@v1", "r", git("https", "github.com", "/o/r.git", "v1", "")},
	{"https://github.com/o/r/issues/3", "git+https://github.com/o/r.git", "r", git("https", "github.com", "/o/r.git", "", "")},
	{"https://gitlab.com/a/b/c", "git+https://gitlab.com/a/b/c.git", "c", git("https", "gitlab.com", "/a/b/c.git", "", "")},
	{"https://git.example.org/a/b/c/-/tree/main?ref_type=heads", "git+https://git.example.org/a/b/c.git@main", "c", git("https", "git.example.org", "/a/b/c.git", "main", "")},
	{"https://codeberg.org/o/r/src/branch/main/doc", "git+https://codeberg.org/o/r.git?tree=main/doc", "doc",
		URL{Kind: KindGit, Transport: "https", Host: "codeberg.org", Path: "/o/r.git", Revision: "main", Subdir: "doc", SplitOpen: true}},
	{"https://git.example.org/o/r/src/commit/" + sha + "/doc", "git+https://git.example.org/o/r.git@" + sha + "#doc", "doc", git("https", "git.example.org", "/o/r.git", sha, "doc")},
	{"https://bitbucket.org/o/r/src/main/", "git+https://bitbucket.org/o/r.git@main", "r", git("https", "bitbucket.org", "/o/r.git", "main", "")},
	{"https://alice@bitbucket.org/o/r.git", "git+https://alice@bitbucket.org/o/r.git", "r",
		URL{Kind: KindGit, Transport: "https", Host: "bitbucket.org", User: "alice", Path: "/o/r.git"}},

	{"hf://openai/gpt-oss-20b", "hf://openai/gpt-oss-20b", "gpt-oss-20b", hf("openai/gpt-oss-20b", "", "")},
	{"hf://org/model@rev", "hf://org/model@rev", "model", hf("org/model", "rev", "")},
	{"hf://gpt2@main/onnx", "hf://gpt2@main/onnx", "onnx", hf("gpt2", "main", "onnx")},
	{"hf://datasets/org/name@refs%2Fpr%2F1/data", "hf://datasets/org/name@refs%2Fpr%2F1/data", "data", hf("datasets/org/name", "refs/pr/1", "data")},
	{"hf://datasets/org/name@refs/convert/parquet", "hf://datasets/org/name@refs%2Fconvert%2Fparquet", "name", hf("datasets/org/name", "refs/convert/parquet", "")},
	{"https://huggingface.co/openai/gpt-oss-20b/tree/main/original", "hf://openai/gpt-oss-20b@main/original", "original", hf("openai/gpt-oss-20b", "main", "original")},
	{"huggingface.co/openai/gpt-oss-20b", "hf://openai/gpt-oss-20b", "gpt-oss-20b", hf("openai/gpt-oss-20b", "", "")},
	{"https://hf.co/datasets/squad", "hf://datasets/squad", "squad", hf("datasets/squad", "", "")},
	{"https://huggingface.co/o/m/blob/main/config.json", "hf://o/m@main", "m", hf("o/m", "main", "")},

	{"s3://bucket/prefix/?endpoint=https://example.org:9000&region=eu", "s3://bucket/prefix?endpoint=https%3A%2F%2Fexample.org%3A9000&region=eu", "prefix",
		URL{Kind: KindS3, Host: "bucket", Path: "prefix", Query: "endpoint=https%3A%2F%2Fexample.org%3A9000&region=eu"}},
	{"s3://bucket", "s3://bucket", "bucket", URL{Kind: KindS3, Host: "bucket"}},
	{"s3://bucket?endpoint=HTTPS://Example.org:443/", "s3://bucket?endpoint=https%3A%2F%2Fexample.org", "bucket",
		URL{Kind: KindS3, Host: "bucket", Query: "endpoint=https%3A%2F%2Fexample.org"}},
	{"s3://bucket?endpoint=example.org", "s3://bucket?endpoint=https%3A%2F%2Fexample.org", "bucket",
		URL{Kind: KindS3, Host: "bucket", Query: "endpoint=https%3A%2F%2Fexample.org"}},
	{"s3://bucket?endpoint=http://[::1]:9000/s3", "s3://bucket?endpoint=http%3A%2F%2F%5B%3A%3A1%5D%3A9000%2Fs3", "bucket",
		URL{Kind: KindS3, Host: "bucket", Query: "endpoint=http%3A%2F%2F%5B%3A%3A1%5D%3A9000%2Fs3"}},
	{"s3://bucket?endpoint=&region=auto", "s3://bucket?region=auto", "bucket", URL{Kind: KindS3, Host: "bucket", Query: "region=auto"}},
	{"s3://bucket?profile=work eu&region=auto", "s3://bucket?profile=work+eu&region=auto", "bucket", URL{Kind: KindS3, Host: "bucket", Query: "profile=work+eu&region=auto"}},
	{"sftp://user@host:22/path", "sftp://user@host/path", "path", URL{Kind: KindSFTP, Host: "host", User: "user", Path: "/path"}},
	{"sftp://host", "sftp://host/", "host", URL{Kind: KindSFTP, Host: "host", Path: "/"}},
	{"webdavs://cloud.example.org/remote.php/dav/files/me", "webdavs://cloud.example.org/remote.php/dav/files/me", "me",
		URL{Kind: KindWebDAV, Transport: "https", Host: "cloud.example.org", Path: "/remote.php/dav/files/me"}},
	{"dav://host:8080/x", "webdav://host:8080/x", "x", URL{Kind: KindWebDAV, Transport: "http", Host: "host", Port: 8080, Path: "/x"}},
	{"ftps://host/pub", "ftps://host/pub", "pub", URL{Kind: KindFTP, Transport: "ftps", Host: "host", Path: "/pub"}},
	{"smb://host/share/x y", "smb://host/share/x%20y", "x-y", URL{Kind: KindSMB, Host: "host", Path: "/share/x y"}},
	{`\\Host\share\x`, "smb://host/share/x", "x", URL{Kind: KindSMB, Host: "host", Path: "/share/x"}},
	{"https://host/index", "https://host/index/", "index", URL{Kind: KindHTTP, Transport: "https", Host: "host", Path: "/index/"}},
	{"http://host", "http://host/", "host", URL{Kind: KindHTTP, Transport: "http", Host: "host", Path: "/"}},
	{"gdrive:", "gdrive:", "gdrive", URL{Kind: KindGDrive}},
	{"onedrive:/Documents/Übung", "onedrive:Documents/Übung", "Übung", URL{Kind: KindOneDrive, Path: "Documents/Übung"}},
	{"dropbox://x", "dropbox:x", "x", URL{Kind: KindDropbox, Path: "x"}},
	{"box:", "box:", "box", URL{Kind: KindBox}},
	{"b2:bucket/x", "b2://bucket/x", "x", URL{Kind: KindB2, Host: "bucket", Path: "x"}},
	{"gs://bucket", "gcs://bucket", "bucket", URL{Kind: KindGCS, Host: "bucket"}},
	{"azure:", "azure:", "azure", URL{Kind: KindAzure}},
}

func TestParseURL(t *testing.T) {
	for _, c := range urlCases {
		u, secret, err := ParseURL(c.in)
		if err != nil || secret != "" || u != c.want {
			t.Errorf("ParseURL(%q) = %+v, %q, %v\nwant %+v", c.in, u, secret, err, c.want)
			continue
		}
		if s := u.String(); s != c.canonical {
			t.Errorf("ParseURL(%q).String() = %q, want %q", c.in, s, c.canonical)
		}
		if n := u.DefaultName(); n != c.name {
			t.Errorf("ParseURL(%q).DefaultName() = %q, want %q", c.in, n, c.name)
		}
		if again, _, err := ParseURL(c.canonical); err != nil || again != u {
			t.Errorf("ParseURL(%q) = %+v, %v, want %+v", c.canonical, again, err, u)
		}
	}
}

func TestHomeFolder(t *testing.T) {
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip("this login has no home folder: ", err)
	}
	u, _, err := ParseURL("~/data")
	if err != nil || filepath.Clean(u.Path) != filepath.Join(home, "data") {
		t.Errorf("~/data is %q, %v", u.Path, err)
	}
}

func TestSecretsAreTakenOut(t *testing.T) {
	const token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
	for _, c := range []struct{ in, secret, canonical string }{
		{"https://" + token + "@github.com/o/r", token, "git+https://github.com/o/r.git"},
		{"https://" + token + ":x-oauth-basic@github.com/o/r.git", token, "git+https://github.com/o/r.git"},
		{"https://" + token + ":@github.com/o/r.git", token, "git+https://github.com/o/r.git"},
		{"https://x-access-token:s3cret@github.com/o/r.git", "s3cret", "git+https://x-access-token@github.com/o/r.git"},
		{"git+https://me:p%40ss@host/r.git", "p@ss", "git+https://me@host/r.git"},
		{"git+https://me:p@ss@host/r.git", "p@ss", "git+https://me@host/r.git"},
		{"sftp://me:pw@host/x", "pw", "sftp://me@host/x"},
		{"s3://AKIAIOSFODNN7EXAMPLE:key@bucket", "key", "s3://AKIAIOSFODNN7EXAMPLE@bucket"},
		{"https://u:hf_token@huggingface.co/o/m", "hf_token", "hf://o/m"},
		{"hf://hf_abc@o/m", "hf_abc", "hf://o/m"},
		{"https://host/list/?access_token=tk", "tk", "https://host/list/"},
		{"https://gitlab.com/o/r?private_token=tk", "tk", "git+https://gitlab.com/o/r.git"},
	} {
		u, secret, err := ParseURL(c.in)
		if err != nil || secret != c.secret || u.String() != c.canonical {
			t.Errorf("ParseURL(%q) = %q, secret %q, %v; want %q, %q", c.in, u, secret, err, c.canonical, c.secret)
		}
	}
}

func TestURLErrors(t *testing.T) {
	for _, in := range []string{
		"", "  ", "some/folder", "./x", "x", "C:relative", "nosuch:thing", "nosuch://host/x", "a\x00b", "/a\nb", "/\xff",
		"https://", "https:///x", "sftp://", "sftp://-oProxyCommand=x/y", "ssh://-l@host/r.git", "git@-x:r.git", "https://host:99999/",
		"https://host:0/", "https://[::1/x", "https://[fe80::1%25eth0]/", "git+https://host/", "git+https://host/r.git@-x",
		"git+https://host/r.git@a..b", "git+https://host/r.git?x=1", "git+https://host/r.git@v1?tree=x", "git+file://other/x.git",
		"https://github.com/", "https://github.com/o", "https://host/%zz", "https://host/%0a", "https://host/x?page=2",
		"s3://", "s3://b?endpoint=https://k:s@h", "s3://b?acl=x", "s3://b?endpoint=ftp://h", "s3://b?endpoint=https://", "s3://b?endpoint=https://h:0",
		"s3://b?endpoint=https://h?x=y", "s3://b?region=", "s3://?profile=x", "s3://b?profile=", "s3://b?profile=-x", "s3://b?profile=a%5Bb", "s3://b?region=EU/x", "smb://host", "hf://", "hf://datasets", "hf://o/m m",
		"https://drive.google.com/drive/my-drive", "gdrive:a?b", "~nobody/x", "/" + strings.Repeat("x", MaxURL),
		"mem:" + strings.Repeat("#", 2000), "mem:" + strings.Repeat(" x", 2000), "ssh://münchen/x.git",
	} {
		if u, _, err := ParseURL(in); !errors.Is(err, ErrURL) {
			t.Errorf("ParseURL(%.60q) = %v, %v, want ErrURL", in, u, err)
		}
	}
	_, _, err := ParseURL("https://me:hunter2/x@host:port/")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestCandidates(t *testing.T) {
	u, _, err := ParseURL("https://github.com/o/r/tree/feature/x/docs")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range u.Candidates() {
		got = append(got, c.Revision+"|"+c.Subdir)
	}
	if s := strings.Join(got, " "); s != "feature|x/docs feature/x|docs feature/x/docs|" {
		t.Errorf("candidates: %s", s)
	}
}

func TestComing(t *testing.T) {
	err := error(&ComingError{Kind: KindSFTP})
	if !errors.Is(err, ErrComing) || !strings.Contains(err.Error(), "SFTP") {
		t.Errorf("%v", err)
	}
}

func FuzzParseURL(f *testing.F) {
	for _, c := range urlCases {
		f.Add(c.in)
		f.Add(c.canonical)
	}
	f.Add("https://x-access-token:s3cret@github.com/o/r.git")
	f.Add("https://ghp_0:x-oauth-basic@h/a.git@b#c")
	f.Fuzz(func(t *testing.T, s string) {
		u, _, err := ParseURL(s)
		if k := GuessKind(s); err == nil && k != "" && k != u.Kind && u.Kind != KindHTTP && u.Kind != KindGit {
			t.Fatalf("GuessKind(%q) = %q, and it is %q", s, k, u.Kind)
		}
		if err != nil {
			if !errors.Is(err, ErrURL) || u != (URL{}) {
				t.Fatalf("ParseURL(%q) = %+v, %v", s, u, err)
			}
			return
		}
		again, secret, err := ParseURL(u.String())
		if err != nil || again != u || secret != "" {
			t.Fatalf("%q: %q (%+v) reads as %+v, secret %q, %v", s, u, u, again, secret, err)
		}
		for _, c := range u.Candidates() {
			if again, _, err := ParseURL(c.String()); err == nil && again != c {
				t.Fatalf("%q: candidate %+v reads as %+v", s, c, again)
			}
		}
		n := u.DefaultName()
		if n == "" || len(n) > 70 || !utf8.ValidString(n) || strings.ContainsAny(n, "/\\:\x00") || n == "." || n == ".." {
			t.Fatalf("%q: name %q", s, n)
		}
	})
}

func TestGuessKind(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "ht": "", "https://": "", "https://github.c": "", "https://github.com/": KindGit, "https://me:pw@github.com/o": KindGit,
		"github.com/o": KindGit, "hf.co/": KindHF, "git@": "", "git@h:": KindGit, "git+ht": "", "git+https:": KindGit, "s3:": KindS3, "gs://": KindGCS,
		"S3://?profile=x": KindS3, "sftp://": KindSFTP, "/ho": KindFolder, "~": KindFolder, `C:\`: KindFolder, `\\nas`: KindSMB, "mem:": KindMem, "gdrive:": KindGDrive,
		"https://drive.google.com/drive": KindGDrive, "https://example.org/x": "",
	} {
		if got := GuessKind(in); got != want {
			t.Errorf("GuessKind(%q) = %q, want %q", in, got, want)
		}
	}
}
