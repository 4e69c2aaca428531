package providers

import (
	"net/netip"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseURL reads every form that names a drive: folders, URLs as the remotes'
// own tools take them, and addresses of web pages as a browser shows them
// (README of the project lists them). A password or token in s is returned as
// secret and is not part of u. "~" is this user's home. Errors are [ErrURL].
//
// The address of a page like github.com/o/r/tree/feature/x/docs does not tell
// whether the branch is "feature" or "feature/x"; u.SplitOpen says so, and
// the provider decides it by the remote's branches ([URL.Candidates]).
func ParseURL(s string) (u URL, secret string, err error) {
	s = strings.Trim(s, " \t\r\n")
	switch {
	case s == "":
		return URL{}, "", urlError("it is empty. Give a folder like /home/me/data or an address like git+https://example.org/repo.git")
	case len(s) > MaxURL:
		return URL{}, "", urlError("it is longer than %d bytes", MaxURL)
	case !plainText(s):
		return URL{}, "", urlError("it holds control characters or broken UTF-8. Copy the address again")
	}
	u, secret, err = parseURL(s)
	if err != nil {
		return URL{}, "", err
	}
	for _, part := range []string{u.Path, u.Revision, u.Subdir, u.User, u.Query, secret} {
		if !plainText(part) {
			return URL{}, "", urlError("it holds control characters or broken UTF-8. Copy the address again")
		}
	}
	if len(u.String()) > MaxURL {
		return URL{}, "", urlError("it is longer than %d bytes", MaxURL)
	}
	return u, secret, nil
}

func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func parseURL(s string) (URL, string, error) {
	if u, ok, err := parseFolder(s); ok || err != nil {
		return u, "", err
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || strings.ContainsAny(scheme, "/@:") {
		return parseShort(s)
	}
	scheme = strings.ToLower(scheme)
	if scheme == "file" {
		u, err := parseFile(rest)
		return u, "", err
	}
	if scheme == "hf" {
		return parseHF(rest)
	}
	if k := shortKinds[scheme]; k != "" {
		return parseShortKind(k, rest)
	}
	p, err := split(scheme, rest)
	if err != nil {
		return URL{}, "", err
	}
	u, err := p.drive()
	return u, p.secret, err
}

// parseFolder reads the forms of a path of this computer.
func parseFolder(s string) (u URL, ok bool, err error) {
	switch {
	case strings.HasPrefix(s, "/"):
		return URL{Kind: KindFolder, Path: path.Clean(s)}, true, nil
	case s == "~" || strings.HasPrefix(s, "~/"):
		home, err := os.UserHomeDir()
		if err != nil {
			return URL{}, false, urlError("~ needs a home folder, and this login has none. Give the folder's full path")
		}
		return parseFolder(strings.TrimSuffix(home, "/") + s[1:])
	case isDrivePath(s):
		return URL{Kind: KindFolder, Path: cleanDrivePath(s)}, true, nil
	}
	return URL{}, false, nil
}

// isDrivePath reports whether s is a path with a Windows drive letter.
func isDrivePath(s string) bool {
	if len(s) < 2 || s[1] != ':' || !isLetter(s[0]) {
		return false
	}
	return len(s) == 2 || s[2] == '\\' || s[2] == '/'
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func cleanDrivePath(s string) string {
	rest := path.Clean("/" + strings.ReplaceAll(s[2:], `\`, "/"))
	return strings.ToUpper(s[:1]) + ":" + strings.ReplaceAll(rest, "/", `\`)
}

// parseFile reads what follows file://.
func parseFile(rest string) (URL, error) {
	host, p, ok := strings.Cut(rest, "/")
	if !ok || (host != "" && !strings.EqualFold(host, "localhost")) {
		return URL{}, urlError("a file address has three slashes, like file:///home/me/data")
	}
	p, err := unescape(p)
	if err != nil {
		return URL{}, err
	}
	u, ok, err := parseFolder(p)
	if ok && p[0] != '/' {
		return u, err // file:///C:/data
	}
	u, _, err = parseFolder("/" + p)
	return u, err
}

// shortKinds have the form kind:path, with or without slashes behind the colon.
var shortKinds = map[string]string{
	"mem": KindMem, "gdrive": KindGDrive, "onedrive": KindOneDrive, "dropbox": KindDropbox, "box": KindBox,
}

// bucketKinds have the form kind://bucket/prefix, also kind:bucket/prefix.
var bucketKinds = map[string]string{
	"s3": KindS3, "b2": KindB2, "gcs": KindGCS, "gs": KindGCS, "azure": KindAzure, "az": KindAzure,
}

// parseShort reads the forms without "://".
func parseShort(s string) (URL, string, error) {
	if strings.HasPrefix(s, `\\`) {
		u, err := parseUNC(s[2:])
		return u, "", err
	}
	if host, _, ok := strings.Cut(s, "/"); ok && isSite(host) {
		return parseURL("https://" + s)
	}
	before, after, ok := strings.Cut(s, ":")
	if !ok || strings.Contains(before, "/") {
		return URL{}, "", urlError("it is neither a full path nor an address. Give a folder like /home/me/data or an address like git+https://example.org/repo.git")
	}
	scheme := strings.ToLower(before)
	if k := shortKinds[scheme]; k != "" {
		return parseShortKind(k, after)
	}
	if k := bucketKinds[scheme]; k != "" {
		if after == "" && k != KindS3 {
			return URL{Kind: k}, "", nil
		}
		if after == "" {
			return URL{}, "", urlError("the bucket is missing, as in %s://bucket/folder", scheme)
		}
		return parseURL(scheme + "://" + after)
	}
	if user, host, ok := strings.Cut(before, "@"); ok || strings.HasSuffix(after, ".git") {
		if !ok {
			user, host = "", before
		}
		return parseSCP(user, host, after)
	}
	return URL{}, "", urlError("%q is not a kind of drive. Known are folders, mem:, git+https://, hf://, s3://, sftp://, webdavs://, ftp://, smb://, https://, gdrive:, onedrive:, dropbox:, box:, b2:, gcs: and azure:", clip(scheme))
}

// clip shortens what is shown of a text that could be anything.
func clip(s string) string {
	if utf8.RuneCountInString(s) > 12 {
		return string([]rune(s)[:12]) + "…"
	}
	return s
}

func parseShortKind(kind, rest string) (URL, string, error) {
	if strings.ContainsAny(rest, "?#") {
		return URL{}, "", urlError("? and # must be written %%3F and %%23 in it")
	}
	p, err := unescape(rest)
	if err != nil {
		return URL{}, "", err
	}
	return URL{Kind: kind, Path: cleanRelative(p)}, "", nil
}

// parseUNC reads a Windows share: host\share\folder.
func parseUNC(s string) (URL, error) {
	host, p, ok := strings.Cut(strings.ReplaceAll(s, `\`, "/"), "/")
	if p = cleanRelative(p); !ok || p == "" || checkHost(host) != nil {
		return URL{}, urlError(`a Windows share is written \\host\share or smb://host/share`)
	}
	return URL{Kind: KindSMB, Host: strings.ToLower(host), Path: "/" + p}, nil
}

// parseSCP reads user@host:path, the short form of ssh and git.
func parseSCP(user, host, p string) (URL, string, error) {
	if strings.HasPrefix(p, "//") {
		return URL{}, "", urlError("the form is git@example.org:owner/repo.git or ssh://git@example.org/owner/repo.git")
	}
	u := URL{Kind: KindGit, Transport: "ssh", Host: strings.ToLower(host), User: user}
	p, u.Subdir, _ = strings.Cut(p, "#")
	u.Path, u.Revision = splitRevision(p)
	if err := checkHost(u.Host); err != nil {
		return URL{}, "", err
	}
	u, err := finishGit(u)
	return u, "", err
}

// parts are the pieces of scheme://user:password@host:port/path?query#fragment.
type parts struct {
	scheme, host, user, secret string
	port                       int
	path                       string // as written, still encoded
	query                      url.Values
	fragment                   string
}

func split(scheme, rest string) (*parts, error) {
	p := &parts{scheme: scheme}
	var err error
	rest, frag, _ := strings.Cut(rest, "#")
	if p.fragment, err = unescape(frag); err != nil {
		return nil, err
	}
	rest, query, _ := strings.Cut(rest, "?")
	if p.query, err = url.ParseQuery(query); err != nil {
		return nil, urlError("its parameters are malformed. They look like ?endpoint=https://example.org")
	}
	authority, after, slash := strings.Cut(rest, "/")
	if slash {
		p.path = "/" + after
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, pw, _ := strings.Cut(authority[:i], ":")
		authority = authority[i+1:]
		if p.user, err = unescape(user); err == nil {
			p.secret, err = unescape(pw)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := p.setHost(authority); err != nil {
		return nil, err
	}
	for k, v := range p.query {
		if secretParams[strings.ToLower(k)] {
			p.secret = v[0]
			delete(p.query, k)
		}
	}
	if strings.HasPrefix(p.user, "-") {
		return nil, urlError("a login name cannot start with -")
	}
	return p, nil
}

// secretParams are parameters by which services pass a token in an address.
var secretParams = map[string]bool{
	"token": true, "access_token": true, "private_token": true, "auth_token": true, "password": true, "secret": true,
	"secret_access_key": true, "key": true, "api_key": true, "sig": true, "x-amz-signature": true,
}

func (p *parts) setHost(authority string) error {
	host, port := authority, ""
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return urlError("the ] of the host is missing")
		}
		host, port = host[1:end], host[end+1:]
		a, err := netip.ParseAddr(host)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return urlError("the host in [] is not an IPv6 address")
		}
		host = a.String()
		if port != "" && port[0] != ':' {
			return urlError("the port is malformed")
		}
		port = strings.TrimPrefix(port, ":")
	} else {
		host, port, _ = strings.Cut(host, ":")
		host = strings.ToLower(host)
		if host == "" && bucketKinds[p.scheme] != "" {
			return urlError("the bucket is missing, as in %s://bucket/folder", p.scheme)
		}
		if p.scheme != "git+file" {
			if err := checkHost(host); err != nil {
				return err
			}
		}
	}
	p.host = host
	if port == "" {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return urlError("the port must be a number from 1 to 65535. A password with : / ? # or @ must be left out and given when asked")
	}
	if int(n) != defaultPorts[p.scheme] {
		p.port = int(n)
	}
	return nil
}

// defaultPorts by scheme; a port that is the default is not kept.
var defaultPorts = map[string]int{
	"http": 80, "https": 443, "git+http": 80, "git+https": 443, "ssh": 22, "git+ssh": 22, "git": 9418, "git+git": 9418,
	"sftp": 22, "webdav": 80, "webdavs": 443, "dav": 80, "davs": 443, "ftp": 21, "ftps": 990, "smb": 445,
}

// checkHost takes what DNS and /etc/hosts take, and bucket names. It refuses
// what a program could mistake for an option.
func checkHost(h string) error {
	if h == "" {
		return urlError("the host is missing, as in sftp://example.org/folder")
	}
	if len(h) > 253 || h[0] == '-' || h[0] == '.' {
		return urlError("the host is malformed")
	}
	for i := 0; i < len(h); i++ {
		if c := h[i]; !isLetter(c) && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return urlError("the host may hold letters a to z, digits, dots and hyphens only. Write other letters in their xn-- form")
		}
	}
	return nil
}

// drive makes the URL of what the parts name.
func (p *parts) drive() (URL, error) {
	if k := bucketKinds[p.scheme]; k != "" {
		return p.bucket(k)
	}
	switch p.scheme {
	case "http", "https":
		return p.web()
	case "git+http", "git+https", "git+ssh", "git+git", "git+file", "ssh", "git":
		return p.git(strings.TrimPrefix(p.scheme, "git+"))
	case "sftp", "smb":
		return p.server(p.scheme, "")
	case "webdav", "dav":
		return p.server(KindWebDAV, "http")
	case "webdavs", "davs":
		return p.server(KindWebDAV, "https")
	case "ftp", "ftps":
		return p.server(KindFTP, p.scheme)
	}
	return URL{}, urlError("%q is not a kind of address. Known are git+https://, hf://, s3://, sftp://, webdavs://, ftp://, smb:// and https://", clip(p.scheme+"://"))
}

// server makes the URL of a folder on a host.
func (p *parts) server(kind, transport string) (URL, error) {
	if len(p.query) > 0 || p.fragment != "" {
		return URL{}, urlError("? and # must be written %%3F and %%23 in a path")
	}
	dir, err := unescape(p.path)
	if err != nil {
		return URL{}, err
	}
	u := URL{Kind: kind, Transport: transport, Host: p.host, Port: p.port, User: p.user, Path: path.Clean("/" + dir)}
	if kind == KindSMB && u.Path == "/" {
		return URL{}, urlError("the share is missing, as in smb://host/share")
	}
	if kind == KindHTTP && u.Path != "/" {
		u.Path += "/" // a listing is the page of a folder
	}
	return u, nil
}

// bucketParams are the parameters that object stores take.
var bucketParams = map[string]bool{"endpoint": true, "region": true, "profile": true}

func (p *parts) bucket(kind string) (URL, error) {
	if p.fragment != "" || p.port != 0 || strings.Contains(p.host, ":") {
		return URL{}, urlError("the form is %s://bucket/folder?endpoint=https://example.org", kind)
	}
	prefix, err := unescape(p.path)
	if err != nil {
		return URL{}, err
	}
	for k, v := range p.query {
		if !bucketParams[k] || len(v) != 1 {
			return URL{}, urlError("it knows the parameters endpoint, region and profile, each once")
		}
	}
	if e := p.query.Get("endpoint"); e != "" {
		if e, err = cleanEndpoint(e); err != nil {
			return URL{}, err
		}
		p.query.Set("endpoint", e)
	} else {
		p.query.Del("endpoint")
	}
	if p.query.Has("region") {
		if err := checkRegion(p.query.Get("region")); err != nil {
			return URL{}, err
		}
	}
	if p.query.Has("profile") && !goodProfile(p.query.Get("profile")) {
		return URL{}, urlError("the profile is the name of one that the AWS tools of this user have")
	}
	return URL{Kind: kind, Host: p.host, User: p.user, Path: cleanRelative(prefix), Query: p.query.Encode()}, nil
}

func unescape(s string) (string, error) {
	out, err := url.PathUnescape(s)
	if err != nil {
		return "", urlError("a %% must be followed by two hex digits; a percent sign itself is %%25")
	}
	return out, nil
}

// cleanRelative takes slashes off the ends; ".." does not climb above the top.
func cleanRelative(p string) string {
	return path.Clean("/" + p)[1:]
}
