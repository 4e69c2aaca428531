package providers

import "strings"

// hubHost is where hf: URLs lead.
const hubHost = "huggingface.co"

// parseHF reads what follows hf://: [datasets/|spaces/|models/][org/]name[@revision][/folder],
// as the Hub's own Python library takes it. A slash of the revision is %2F.
func parseHF(rest string) (URL, string, error) {
	var secret string
	if user, after, ok := strings.Cut(rest, "@"); ok && !strings.Contains(user, "/") && strings.Contains(after, "/") {
		// A login has no place here, but people paste tokens everywhere.
		user, pw, hasPW := strings.Cut(user, ":")
		if hasPW || tokenLike(user) {
			if _, secret = userOrToken(user, pw); secret == "" {
				secret = pw
			}
			rest = after
		}
	}
	if strings.ContainsAny(rest, "?#") {
		return URL{}, "", urlError("? and # must be written %%3F and %%23 in it")
	}
	u := URL{Kind: KindHF, Transport: "https", Host: hubHost}
	elems := strings.Split(strings.Trim(rest, "/"), "/")
	kind := ""
	switch elems[0] {
	case "datasets", "spaces":
		kind, elems = elems[0]+"/", elems[1:]
	case "models":
		elems = elems[1:]
	}
	n := 2
	if len(elems) < 2 || strings.Contains(elems[0], "@") {
		n = 1
	}
	if len(elems) == 0 {
		return URL{}, "", errHubForm()
	}
	name, rev, _ := strings.Cut(strings.Join(elems[:n], "/"), "@")
	tail := elems[n:]
	if rev == "refs" && len(tail) >= 2 && (tail[0] == "pr" || tail[0] == "convert") {
		rev, tail = rev+"/"+tail[0]+"/"+tail[1], tail[2:] // the Hub's own refs are written plainly
	}
	var err error
	if u.Revision, err = unescape(rev); err != nil {
		return URL{}, "", err
	}
	sub, err := unescape(strings.Join(tail, "/"))
	if err != nil {
		return URL{}, "", err
	}
	u, err = finishHub(u, kind, name, sub)
	return u, secret, err
}

func finishHub(u URL, kind, name, sub string) (URL, error) {
	elems := strings.Split(name, "/")
	for _, e := range elems {
		if !hubName(e) {
			return URL{}, errHubForm()
		}
	}
	if u.Revision != "" && !goodRevision(u.Revision) {
		return URL{}, urlError("the revision behind @ is neither a branch, a tag nor a commit")
	}
	u.Path = kind + name
	u.Subdir = cleanRelative(sub)
	if u.Subdir != "" && len(elems) == 1 && u.Revision == "" {
		u.Revision = "main" // "name/folder" would read as "org/name"
	}
	return u, nil
}

func errHubForm() error {
	return urlError("the form is hf://org/model, hf://datasets/org/name or hf://spaces/org/name, with @revision behind it if not the default")
}

// hubName holds to the Hub's rules for the names of owners and repositories.
func hubName(s string) bool {
	switch s {
	case "", ".", "..", "datasets", "spaces", "models", "docs", "papers", "blog", "collections", "settings", "join", "login", "pricing", "tasks":
		return false
	}
	return len(s) <= 96 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// hubPage makes the URL of a page of the Hub: /org/model/tree/main/folder.
func (p *parts) hubPage() (URL, error) {
	if p.user != "" && p.secret == "" {
		return URL{}, urlError("the Hub takes a token, not a login name")
	}
	if p.port != 0 || p.scheme != "https" {
		return URL{}, urlError("the Hub is at https://%s/", hubHost)
	}
	var elems []string
	for _, e := range strings.Split(strings.Trim(p.path, "/"), "/") {
		e, err := unescape(e)
		if err != nil {
			return URL{}, err
		}
		elems = append(elems, e)
	}
	u := URL{Kind: KindHF, Transport: "https", Host: hubHost}
	kind := ""
	if elems[0] == "datasets" || elems[0] == "spaces" {
		kind, elems = elems[0]+"/", elems[1:]
	}
	n := 0
	for n < len(elems) && n < 2 && !hubPages[elems[n]] {
		n++
	}
	name, page := strings.Join(elems[:n], "/"), elems[n:]
	if len(page) == 0 || len(page) == 1 {
		return finishHub(u, kind, name, "")
	}
	rest := page[1:]
	switch page[0] {
	case "tree":
	case "blob", "resolve", "raw", "blame", "edit":
		rest = rest[:max(1, len(rest)-1)]
	case "commit", "commits":
		rest = rest[:1]
	default:
		return finishHub(u, kind, name, "")
	}
	u.Revision, rest = rest[0], rest[1:]
	if u.Revision == "refs" && len(rest) >= 2 {
		u.Revision, rest = strings.Join(append([]string{"refs"}, rest[:2]...), "/"), rest[2:]
	}
	return finishHub(u, kind, name, strings.Join(rest, "/"))
}

// hubPages are the pages of a repository.
var hubPages = map[string]bool{
	"tree": true, "blob": true, "resolve": true, "raw": true, "blame": true, "edit": true, "commit": true, "commits": true,
	"discussions": true, "settings": true, "viewer": true,
}
