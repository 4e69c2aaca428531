// Package found looks what this computer's own tools know of that could become a
// drive: the remotes of git clones, profiles of the AWS tools, buckets' servers of
// rclone. It reads names and addresses, and no secret leaves it.
package found

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/providers"
)

// Bounds of a look.
const (
	maxFile  = 256 << 10 // bytes of a configuration file
	maxFound = 60        // of each kind
	maxDirs  = 4000      // that are looked at
	maxNames = 500       // of a folder
)

// Options say where to look.
type Options struct {
	Home   string
	Env    func(string) string // os.Getenv
	Skip   []string            // folders that are not touched: those of drives, which may be dead
	Logger *slog.Logger
}

// Look looks until ctx is done, and gives what it found by then: the nearest at hand
// first. A disk that does not answer holds it up: whoever calls it must not wait.
func Look(ctx context.Context, o Options) []api.Found {
	if o.Home == "" {
		return nil
	}
	all := profiles(o)
	all = append(all, rclone(o)...)
	return append(all, clones(ctx, o)...)
}

// profiles are those of the AWS tools.
func profiles(o Options) []api.Found {
	var all []api.Found
	seen := map[string]bool{}
	for _, f := range []struct{ env, path, prefix string }{
		{"AWS_CONFIG_FILE", ".aws/config", "profile "},
		{"AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", ""},
	} {
		path := o.Env(f.env)
		if path == "" {
			path = filepath.Join(o.Home, filepath.FromSlash(f.path))
		}
		for _, s := range o.ini(path) {
			name := s.name
			if name != "default" {
				var ok bool
				if name, ok = strings.CutPrefix(name, f.prefix); !ok {
					continue // sso-session, services
				}
			}
			name = strings.TrimSpace(name)
			const begin = "s3://"
			u := begin + "?" + providers.URL{Kind: providers.KindS3, Host: "x"}.WithParam("profile", name).Query
			if name == "" || seen[name] || len(all) == maxFound || !whole(u, len(begin)) {
				continue
			}
			seen[name] = true
			all = append(all, api.Found{Kind: providers.KindS3, Name: name, URL: u, From: path, Gap: len(begin)})
		}
	}
	return all
}

// whole reports whether url names a drive once something is put in at gap.
func whole(url string, gap int) bool {
	_, secret, err := providers.ParseURL(url[:gap] + "x" + url[gap:])
	return err == nil && secret == ""
}

// rclone are its remotes that are servers of buckets.
func rclone(o Options) []api.Found {
	path := o.Env("RCLONE_CONFIG")
	for _, dir := range []string{o.Env("APPDATA"), o.Env("XDG_CONFIG_HOME"), filepath.Join(o.Home, ".config")} {
		if path == "" && dir != "" {
			p := filepath.Join(dir, "rclone", "rclone.conf")
			if _, err := os.Stat(p); err == nil {
				path = p
			}
		}
	}
	if path == "" {
		return nil
	}
	var all []api.Found
	for _, s := range o.ini(path) {
		if s.keys["type"] != "s3" || len(all) == maxFound {
			continue
		}
		u := providers.URL{Kind: providers.KindS3, Host: "x"}
		for _, name := range []string{"endpoint", "region"} {
			if v := s.keys[name]; v != "" {
				u = u.WithParam(name, v)
			}
		}
		if s.keys["profile"] != "" {
			u = u.WithParam("profile", s.keys["profile"])
		}
		begin := "s3://"
		if id := s.keys["access_key_id"]; id != "" {
			begin = strings.TrimSuffix(providers.URL{Kind: providers.KindS3, Host: "x", User: id}.String(), "x")
		}
		address := begin
		if u.Query != "" {
			address += "?" + u.Query
		}
		if whole(address, len(begin)) {
			all = append(all, api.Found{Kind: providers.KindS3, Name: s.name, URL: address, From: path, Gap: len(begin)})
		}
	}
	return all
}

// sources are the folders in which people keep their clones, in the home folder.
var sources = [...]string{"src", "source", "Source", "sources", "code", "Code", "git", "repos", "projects", "Projects", "dev", "Developer",
	"work", "workspace", "go/src", "GitHub", "Documents/GitHub", "source/repos", "IdeaProjects", "GolandProjects", "PycharmProjects"}

// clones are the remotes of git clones, each address once.
func clones(ctx context.Context, o Options) []api.Found {
	w := &walk{ctx: ctx, o: o, left: maxDirs, seen: map[string]bool{}}
	for _, name := range append(slices.Clone(o.Skip), guarded()...) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(o.Home, name)
		}
		w.seen[name] = true
	}
	w.dir(o.Home, 1) // what is there itself; the folders in it that count are among sources
	for _, s := range sources {
		if first, _, _ := strings.Cut(s, "/"); !w.seen[filepath.Join(o.Home, first)] {
			w.dir(filepath.Join(o.Home, filepath.FromSlash(s)), 2)
		}
	}
	return w.found
}

// walk looks for clones.
type walk struct {
	ctx   context.Context
	o     Options
	left  int             // folders
	seen  map[string]bool // paths and URLs; also paths that are not to be seen
	found []api.Found
}

func (w *walk) dir(path string, depth int) {
	if depth == 0 || w.done() {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		return
	}
	entries, _ := f.ReadDir(maxNames) // what there is, is enough
	f.Close()
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue // nor symbolic links, which may lead to a drive
		}
		if w.done() {
			return
		}
		w.left--
		below := filepath.Join(path, e.Name())
		if w.seen[below] {
			continue
		}
		config := filepath.Join(below, ".git", "config")
		b, err := read(config)
		if err != nil {
			w.dir(below, depth-1)
			continue
		}
		w.seen[below] = true
		w.clone(config, b)
	}
}

func (w *walk) done() bool { return w.ctx.Err() != nil || w.left <= 0 || len(w.found) >= maxFound }

// clone takes the remotes of one clone: "origin", else all.
func (w *walk) clone(config string, b []byte) {
	remotes := gitRemotes(b)
	if i := slices.IndexFunc(remotes, func(r remote) bool { return r.name == "origin" }); i >= 0 {
		remotes = remotes[i : i+1]
	}
	for _, r := range remotes {
		u, _, err := providers.ParseURL(r.url) // a password in it stays behind
		if err == nil && u.Kind == providers.KindHTTP {
			u, _, err = providers.ParseURL("git+" + r.url) // of a repository, though its address does not tell
		}
		if err != nil || u.Kind == providers.KindFolder || w.seen[u.String()] || len(w.found) >= maxFound {
			continue
		}
		w.seen[u.String()] = true
		w.found = append(w.found, api.Found{Kind: u.Kind, Name: u.DefaultName(), URL: u.String(), From: config})
	}
}

// ini reads a file of sections, which need not be there.
func (o Options) ini(path string) []section {
	b, err := read(path)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			o.Logger.Debug("look for what may become a drive", "err", err)
		}
		return nil
	}
	return parseINI(b)
}

var errLong = errors.New("longer than configuration files are")

// read reads a regular file that is not long.
func read(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, os.ErrInvalid
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		return nil, errLong
	}
	return b, err
}
