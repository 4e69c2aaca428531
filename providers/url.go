package providers

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The kinds of drives that a [URL] names.
const (
	KindFolder   = "folder"   // a folder of this computer
	KindMem      = "mem"      // a drive in memory
	KindGit      = "git"      // a git repository
	KindHF       = "hf"       // a model, dataset or space of Hugging Face
	KindS3       = "s3"       // a bucket of S3 or a compatible store
	KindSFTP     = "sftp"     //
	KindWebDAV   = "webdav"   //
	KindFTP      = "ftp"      //
	KindSMB      = "smb"      // a Windows share
	KindHTTP     = "http"     // the listing of a web server
	KindGDrive   = "gdrive"   // Google Drive
	KindOneDrive = "onedrive" //
	KindDropbox  = "dropbox"  //
	KindBox      = "box"      //
	KindB2       = "b2"       // Backblaze B2
	KindGCS      = "gcs"      // Google Cloud Storage
	KindAzure    = "azure"    // Azure Blob Storage
)

// URL names a drive. It never holds a secret. Two URLs are equal (==) if they
// name the same drive in the same way. [ParseURL] makes it; all text in it is
// valid UTF-8 without control characters and not percent-encoded.
type URL struct {
	Kind string // one of the Kind constants

	// Transport is how to speak to Host: "https", "http", "ssh", "git" or "file"
	// for git; "https" or "http" for webdav, http and hf; "ftp" or "ftps" for
	// ftp; else "".
	Transport string
	Host      string // lower case, without port and brackets; of s3, b2, gcs and azure: the bucket, "" for all of them
	Port      int    // 0: the default of Transport
	User      string // login name; "" if the URL has none

	// Path within the host. Of a folder: absolute, in the host's own form ("/a",
	// `C:\a`). Of git over ssh: without a leading slash it is relative to the
	// login's home, and is sent as it is. Of hf: "org/model", "datasets/org/name".
	// Of object stores and cloud drives: a prefix without slashes at its ends.
	// Of everything else: with a leading slash.
	Path string

	Revision string // git, hf: branch, tag or commit; "" for the default branch
	Subdir   string // git, hf: a folder of the repository, slash-separated; "" for its root

	// SplitOpen says that Revision and Subdir come from the address of a web
	// page, which does not tell where a revision with slashes ends: Revision
	// is the shortest reading. See [URL.Candidates].
	SplitOpen bool

	Query string // parameters (s3: endpoint, region, profile), encoded and sorted by name
}

// MaxURL is the length in bytes up to which URLs are taken.
const MaxURL = 4096

// ErrURL says that a text is not the URL of a drive. The error around it says
// what is wrong and shows the right form, and never repeats the text, which
// may hold a password.
var ErrURL = errors.New("not a drive URL")

// ErrComing says that a URL is right, but Moorage has no provider for it yet.
var ErrComing = errors.New("not available yet")

// ComingError is the answer to opening a URL of a kind that has no provider
// yet. It is [ErrComing] to errors.Is.
type ComingError struct {
	Kind string
}

// kindNames are the kinds as people call them.
var kindNames = map[string]string{
	KindHF: "Hugging Face", KindS3: "S3 storage", KindSFTP: "SFTP", KindWebDAV: "WebDAV", KindFTP: "FTP",
	KindSMB: "Windows shares (SMB)", KindHTTP: "web server listings", KindGDrive: "Google Drive",
	KindOneDrive: "OneDrive", KindDropbox: "Dropbox", KindBox: "Box", KindB2: "Backblaze B2",
	KindGCS: "Google Cloud Storage", KindAzure: "Azure Blob Storage",
}

// Error names what is coming and what works today.
func (e *ComingError) Error() string {
	name := kindNames[e.Kind]
	if name == "" {
		name = e.Kind
	}
	return name + " drives are coming, but this version cannot open them yet. Git repositories (git+https://…), S3 buckets (s3://…), folders and mem: work today"
}

// Is reports whether target is ErrComing.
func (e *ComingError) Is(target error) bool { return target == ErrComing }

func urlError(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrURL, fmt.Sprintf(format, a...))
}

// String is the canonical form. It holds no secret, and ParseURL of it gives u.
func (u URL) String() string {
	switch u.Kind {
	case KindFolder:
		if strings.HasSuffix(u.Path, " ") { // ParseURL takes blanks off the ends
			return "file://" + escape("/"+strings.TrimPrefix(u.Path, "/"), `/:\`)
		}
		return u.Path
	case KindMem, KindGDrive, KindOneDrive, KindDropbox, KindBox:
		return u.Kind + ":" + escape(u.Path, "/")
	case KindHF:
		return u.hfString()
	case KindGit:
		return "git+" + u.Transport + "://" + u.authority() + u.gitTail()
	case KindWebDAV:
		if u.Transport == "https" {
			return "webdavs://" + u.authority() + escape(u.Path, "/")
		}
		return "webdav://" + u.authority() + escape(u.Path, "/")
	case KindFTP, KindHTTP:
		return u.Transport + "://" + u.authority() + escape(u.Path, "/")
	case KindS3, KindB2, KindGCS, KindAzure:
		if u.Host == "" {
			return u.Kind + ":"
		}
		s := u.Kind + "://" + u.authority()
		if u.Path != "" {
			s += "/" + escape(u.Path, "/")
		}
		if u.Query != "" {
			s += "?" + u.Query
		}
		return s
	default:
		return u.Kind + "://" + u.authority() + escape(u.Path, "/")
	}
}

func (u URL) authority() string {
	s := u.Host
	if strings.Contains(s, ":") {
		s = "[" + s + "]"
	}
	if u.User != "" {
		s = escape(u.User, "") + "@" + s
	}
	if u.Port != 0 {
		s += ":" + strconv.Itoa(u.Port)
	}
	return s
}

// gitTail is everything behind the authority: path@revision#subfolder, or
// path?tree=revision/subfolder while it is open where the revision ends.
func (u URL) gitTail() string {
	p := u.Path
	switch {
	case strings.HasPrefix(p, "/"):
	case u.Transport == "ssh" && !strings.HasPrefix(p, "~"):
		p = "/./" + p
	default:
		p = "/" + p
	}
	s := escape(p, "/:")
	if u.SplitOpen {
		return s + "?tree=" + queryTree(u.Revision+"/"+u.Subdir)
	}
	if u.Revision != "" {
		s += "@" + escape(u.Revision, "/")
	}
	if u.Subdir != "" {
		s += "#" + escape(u.Subdir, "/")
	}
	return s
}

func (u URL) hfString() string {
	s := "hf://" + escape(u.Path, "/")
	if u.Revision != "" {
		s += "@" + escape(u.Revision, "")
	}
	if u.Subdir != "" {
		s += "/" + escape(u.Subdir, "/")
	}
	return s
}

// Candidates are the readings of u that differ in where the revision ends, the
// shortest revision first: "feature" with "x/docs", "feature/x" with "docs",
// "feature/x/docs". It is u alone unless u.SplitOpen. A repository has at most
// one branch among them, so a provider takes the one that the remote has.
func (u URL) Candidates() []URL {
	if !u.SplitOpen {
		return []URL{u}
	}
	whole := u.Revision + "/" + u.Subdir
	var out []URL
	for i := len(u.Revision); i <= len(whole); i++ {
		if i < len(whole) && whole[i] != '/' {
			continue
		}
		c := u
		c.SplitOpen = false
		c.Revision, c.Subdir = whole[:i], strings.TrimPrefix(whole[i:], "/")
		out = append(out, c)
	}
	return out
}

// Param is the parameter of that name, "" if u has none.
func (u URL) Param(name string) string {
	q, err := url.ParseQuery(u.Query)
	if err != nil {
		return ""
	}
	return q.Get(name)
}

// WithParam is u with the parameter of that name set, or without it if value is "".
// Whether u is good then, [ParseURL] of its text tells.
func (u URL) WithParam(name, value string) URL {
	q, err := url.ParseQuery(u.Query)
	if err != nil {
		q = url.Values{}
	}
	if q.Del(name); value != "" {
		q.Set(name, value)
	}
	u.Query = q.Encode()
	return u
}

// DefaultName is a good name for the drive: one path element of at most 64
// bytes that every system takes as a folder name and a shell without quotes.
func (u URL) DefaultName() string {
	p := strings.Trim(strings.ReplaceAll(u.Path, `\`, "/"), "/")
	if u.Subdir != "" {
		p = u.Subdir
	}
	name := path.Base("/" + p)
	if name == "/" {
		name = u.Host
	}
	if u.Kind == KindGit {
		name = strings.TrimSuffix(name, ".git")
	}
	if n := safeName(name); n != "" {
		return n
	}
	return u.Kind
}

// reservedNames are devices to Windows, with any extension.
var reservedNames = map[string]bool{"con": true, "prn": true, "aux": true, "nul": true}

func safeName(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.Is(unicode.Mn, r), strings.ContainsRune("._-+", r):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s = b.String()
	for len(s) > 64 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	s = strings.TrimRight(strings.TrimLeft(s, ".-+"), ".-")
	stem, _, _ := strings.Cut(strings.ToLower(s), ".")
	device := len(stem) == 4 && (strings.HasPrefix(stem, "com") || strings.HasPrefix(stem, "lpt")) && stem[3] >= '0' && stem[3] <= '9'
	if reservedNames[stem] || device {
		s = "drive-" + s
	}
	return s
}

const upperhex = "0123456789ABCDEF"

// escape percent-encodes everything but letters, digits, "-._~" and what keep
// names; non-ASCII text is left readable.
func escape(s, keep string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf, 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("-._~+,=!$'()*;", c) >= 0, strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(upperhex[c>>4])
			b.WriteByte(upperhex[c&15])
		}
	}
	return b.String()
}
