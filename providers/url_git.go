package providers

import (
	"net/url"
	"path"
	"strings"
)

// git makes the URL of a repository from an address that is a git URL.
func (p *parts) git(transport string) (URL, error) {
	u := URL{Kind: KindGit, Transport: transport, Host: p.host, Port: p.port, User: p.user, Subdir: p.fragment}
	raw, rev := splitRevision(p.path)
	var err error
	if u.Path, err = unescape(raw); err != nil {
		return URL{}, err
	}
	if u.Revision, err = unescape(rev); err != nil {
		return URL{}, err
	}
	tree, hasTree := p.query["tree"]
	if len(p.query) > 1 || (len(p.query) == 1 && (!hasTree || len(tree) != 1)) {
		return URL{}, urlError("git addresses have no parameters. A revision is written git+https://example.org/repo.git@v1.0, a folder of it …@v1.0#docs")
	}
	if hasTree {
		if u.Revision != "" || u.Subdir != "" {
			return URL{}, urlError("it names its revision twice")
		}
		u.setTree(tree[0])
	}
	switch transport {
	case "file":
		if u.Host != "" && u.Host != "localhost" || u.Port != 0 || u.User != "" {
			return URL{}, urlError("a repository of this computer has three slashes, like git+file:///home/me/repo.git")
		}
		u.Host = ""
	case "http", "https":
		u.User, p.secret = userOrToken(u.User, p.secret)
	case "ssh":
		u.Path = strings.TrimPrefix(u.Path, "/./") // our form for a path relative to the home
	}
	return finishGit(u)
}

// splitRevision parts path@revision. An "@" right behind ".git" parts; else
// the last one does, unless it begins an element, as in /@scope/repo.
func splitRevision(p string) (repo, rev string) {
	if repo, rev, ok := strings.Cut(p, ".git@"); ok {
		return repo + ".git", rev
	}
	i := strings.LastIndexByte(p, '@')
	if i <= 0 || p[i-1] == '/' || strings.HasSuffix(p, ".git") {
		return p, ""
	}
	return p[:i], p[i+1:]
}

// setTree takes the revision/folder of a page's address.
func (u *URL) setTree(tree string) {
	tree = cleanRelative(tree)
	n := 1
	if strings.HasPrefix(tree, "refs/heads/") || strings.HasPrefix(tree, "refs/tags/") {
		n = 3
	}
	elems := strings.SplitN(tree, "/", n+1)
	if len(elems) <= n {
		u.Revision = tree
		return
	}
	u.Revision, u.Subdir = strings.Join(elems[:n], "/"), elems[n]
	u.SplitOpen = n == 3 || !isCommit(u.Revision)
}

// isCommit reports whether rev is a whole object id, SHA-1 or SHA-256.
func isCommit(rev string) bool {
	return (len(rev) == 40 || len(rev) == 64) && strings.Trim(rev, "0123456789abcdef") == ""
}

// finishGit cleans and checks what all forms of a git URL share.
func finishGit(u URL) (URL, error) {
	p := cleanRelative(u.Path)
	if p == "" {
		return URL{}, urlError("the repository is missing, as in git+https://example.org/owner/repo.git")
	}
	switch {
	case u.Transport == "file" && isDrivePath(p), u.Transport == "ssh" && p[0] == '~': // ssh: git's own form for a home
	case strings.HasPrefix(u.Path, "/"), u.Transport == "ssh" && forges[u.Host] != nil:
		p = "/" + p
	}
	u.Path = p
	if f := forges[u.Host]; f != nil && strings.HasPrefix(u.Transport, "http") && !strings.HasSuffix(u.Path, ".git") {
		u.Path += ".git"
	}
	if u.Port == defaultPorts[u.Transport] {
		u.Port = 0
	}
	if strings.HasPrefix(u.User, "-") {
		return URL{}, urlError("a login name cannot start with -")
	}
	u.Revision = strings.Trim(u.Revision, "/")
	if u.Revision != "" && !goodRevision(u.Revision) {
		return URL{}, urlError("the revision behind @ is neither a branch, a tag nor a commit")
	}
	u.Subdir = cleanRelative(u.Subdir)
	return u, nil
}

// goodRevision holds to git-check-ref-format(1).
func goodRevision(rev string) bool {
	return rev[0] != '-' && len(rev) <= 1024 && rev != "@" && !strings.ContainsAny(rev, " ~^:?*[\\") &&
		!strings.Contains(rev, "..") && !strings.Contains(rev, "@{") && !strings.Contains(rev, "//") &&
		!strings.Contains("/"+rev, "/.") && !strings.HasSuffix(rev, ".") && !strings.HasSuffix(rev, ".lock")
}

// tokenPrefixes are how services mark their tokens.
var tokenPrefixes = []string{
	"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glcbt-", "glrt-", "hf_", "ATBB", "ATCTT",
}

// userOrToken parts a login name from a token that stands in its place:
// https://TOKEN@host, https://TOKEN:x-oauth-basic@host. A name that cannot be
// told from a token counts as one, since a name that is lost is asked for
// again, and a token that is stored is a leak.
func userOrToken(user, password string) (name, secret string) {
	if !tokenLike(user) {
		return user, password
	}
	if password == "" || password == "x-oauth-basic" {
		return "", user
	}
	return "", password
}

func tokenLike(s string) bool {
	for _, p := range tokenPrefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	var letters, digits int
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isLetter(c):
			letters++
		case '0' <= c && c <= '9':
			digits++
		case c != '_' && c != '-':
			return false
		}
	}
	return len(s) >= 20 && letters > 0 && digits > 0
}

// forge says how a site that shows repositories lays out its pages.
type forge struct {
	depth int // elements of a repository's name; 0: all up to "/-/"
}

// forges by host. Their repositories are at the same place with and without
// ".git", and over ssh with and without a leading slash.
var forges = map[string]*forge{
	"github.com": {2}, "gitlab.com": {0}, "codeberg.org": {2}, "gitea.com": {2}, "bitbucket.org": {2}, "gist.github.com": {0},
}

// aliases are other names of sites.
var aliases = map[string]string{
	"www.github.com": "github.com", "www.gitlab.com": "gitlab.com", "www.huggingface.co": "huggingface.co", "hf.co": "huggingface.co",
}

// cloudPages are sites whose pages show files that another kind of URL opens.
var cloudPages = map[string]string{
	"drive.google.com": "gdrive:folder", "docs.google.com": "gdrive:folder", "onedrive.live.com": "onedrive:folder",
	"1drv.ms": "onedrive:folder", "dropbox.com": "dropbox:folder", "www.dropbox.com": "dropbox:folder",
	"box.com": "box:folder", "app.box.com": "box:folder",
}

// isSite reports whether people write addresses of host without a scheme.
func isSite(host string) bool {
	host = strings.ToLower(host)
	return forges[host] != nil || aliases[host] != "" || host == hubHost || cloudPages[host] != ""
}

// web makes the URL of an http or https address: a repository, a page about
// one, or the listing of a web server.
func (p *parts) web() (URL, error) {
	if a := aliases[p.host]; a != "" {
		p.host = a
	}
	if form := cloudPages[p.host]; form != "" {
		return URL{}, urlError("the pages of this site are not drives. Write %s", form)
	}
	p.user, p.secret = userOrToken(p.user, p.secret)
	if p.host == hubHost {
		return p.hubPage()
	}
	trimmed := strings.TrimRight(p.path, "/")
	if strings.HasSuffix(trimmed, ".git") || strings.Contains(trimmed, ".git@") || strings.Contains(trimmed, "/_git/") {
		return p.git(p.scheme)
	}
	var elems []string
	for _, e := range strings.Split(path.Clean("/" + p.path)[1:], "/") {
		e, err := unescape(e)
		if err != nil {
			return URL{}, err
		}
		elems = append(elems, e)
	}
	repo, page := elems, []string(nil)
	f := forges[p.host]
	if i := indexOf(elems, "-"); i > 1 {
		repo, page = elems[:i], elems[i+1:] // GitLab
	} else if i := indexOf(elems, "src"); i == 2 && len(elems) > 4 && giteaRefs[elems[3]] {
		repo, page = elems[:i], append([]string{"tree"}, elems[4:]...) // Gitea, Forgejo
	} else if f == nil {
		return p.server(KindHTTP, p.scheme)
	} else if f.depth > 0 && len(elems) > f.depth {
		repo, page = elems[:f.depth], elems[f.depth:]
	}
	if f != nil && len(repo) < 2 && p.host != "gist.github.com" || repo[0] == "" {
		return URL{}, urlError("it names no repository. The form is https://%s/owner/repo", p.host)
	}
	u := URL{Kind: KindGit, Transport: p.scheme, Host: p.host, Port: p.port, User: p.user}
	u.Path = "/" + strings.TrimSuffix(strings.Join(repo, "/"), ".git") + ".git"
	u.setPage(page)
	return finishGit(u)
}

var giteaRefs = map[string]bool{"branch": true, "tag": true, "commit": true}

// setPage takes revision and folder from what follows the repository in the
// address of a page. Pages that show no revision stand for the repository.
func (u *URL) setPage(page []string) {
	if len(page) < 2 {
		return
	}
	rest := page[1:]
	switch page[0] {
	case "tree", "src", "commits":
	case "blob", "raw", "edit", "blame":
		rest = rest[:max(1, len(rest)-1)] // a file: the folder it is in
	case "commit":
		rest = rest[:1]
	case "branch":
		u.Revision = strings.Join(rest, "/")
		return
	case "releases", "tags":
		if rest[0] == "tag" {
			rest = rest[1:]
		}
		u.Revision = strings.Join(rest, "/")
		return
	default:
		return
	}
	if strings.Contains(rest[0], "/") { // encoded in the address: no doubt where it ends
		u.Revision, u.Subdir = rest[0], strings.Join(rest[1:], "/")
		return
	}
	u.setTree(strings.Join(rest, "/"))
}

func indexOf(elems []string, s string) int {
	for i, e := range elems {
		if e == s {
			return i
		}
	}
	return -1
}

// queryTree is the tree parameter of a URL, readable as far as a query allows.
func queryTree(tree string) string {
	return strings.ReplaceAll(url.QueryEscape(tree), "%2F", "/")
}
