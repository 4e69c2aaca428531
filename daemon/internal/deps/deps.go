// Package deps states which parts of Moorage may import which. Its test reads
// the import graph and fails, with the reason, when a rule is broken.
package deps

import (
	"slices"
	"strings"
)

const module = "github.com/moorage/moorage/"

// A Rule keeps packages from depending on others.
type Rule struct {
	Who    []string // packages and, with "/..." behind, all below them; relative to the module
	Except []string // of Who
	Not    []string // what they must not depend on; "std" for anything outside the standard library
	But    []string // of Not
	Direct bool     // only direct imports count
	Why    string
}

// Rules are the import rules of ARCHITECTURE.md.
func Rules() []Rule {
	return []Rule{
		{Who: []string{"nfs/..."}, Not: []string{"mounter/...", "providers/...", "daemon/...", "app/...", "assets/..."},
			Why: "nfs is a library that anyone can import: it knows nothing of remotes, mounts or this product"},
		{Who: []string{"nfs/..."}, Not: []string{"std"}, But: []string{"golang.org/x/sys/...", module + "nfs/..."},
			Why: "nfs costs its importers the standard library and x/sys, no more"},
		{Who: []string{"mounter/..."}, Not: []string{"nfs/...", "providers/...", "daemon/...", "app/...", "assets/..."},
			Why: "mounter issues mounts; it knows nothing of what serves them"},
		{Who: []string{"mounter/..."}, Except: []string{"mounter/helper/...", "mounter/cmd/..."},
			Not: []string{"std"}, But: []string{"golang.org/x/sys/...", module + "mounter/..."},
			Why: "part of mounter runs as root and must be small enough to audit"},
		{Who: []string{"mounter/helper/...", "mounter/cmd/..."},
			Not: []string{"std"}, But: []string{"golang.org/x/sys/...", "github.com/godbus/dbus/v5/...", module + "mounter/..."},
			Why: "the mount helper needs the system bus and nothing else"},
		{Who: []string{"mounter/helper", "mounter/cmd/..."}, Not: []string{"mounter"},
			Why: "what runs as root for users is small: mounter runs the programs of the system"},
		{Who: []string{"providers/..."}, Not: []string{"nfs/...", "mounter/...", "daemon/...", "app/...", "assets/..."},
			Why: "a provider speaks to its remote and nothing else"},
		{Who: []string{"providers/mem/..."}, Not: []string{"providers/git/...", "providers/local/...", "providers/s3/..."}, Why: "providers never know each other"},
		{Who: []string{"providers/local/..."}, Not: []string{"providers/git/...", "providers/mem/...", "providers/s3/..."}, Why: "providers never know each other"},
		{Who: []string{"providers/git/..."}, Not: []string{"providers/local/...", "providers/mem/...", "providers/s3/..."}, Why: "providers never know each other"},
		{Who: []string{"providers/s3/..."}, Not: []string{"providers/git/...", "providers/local/...", "providers/mem/..."}, Why: "providers never know each other"},
		{Who: []string{"daemon/..."}, Except: []string{"daemon/internal/drive/...", "daemon/internal/mounts/...", "daemon/cmd/mooraged"},
			Not: []string{"nfs/..."}, Direct: true, Why: "only the engine, the life cycle of drives and the service's main see nfs"},
		{Who: []string{"daemon/..."}, Except: []string{"daemon/cmd/mooraged", "daemon/internal/drive/drivetest/..."},
			Not:    []string{"providers/git", "providers/mem", "providers/local", "providers/s3"},
			Direct: true, Why: "only the service's main names concrete providers"},
		{Who: []string{"daemon/..."}, Except: []string{"daemon/internal/mounts/...", "daemon/cmd/mooraged"},
			Not: []string{"mounter/..."}, Direct: true, Why: "only the life cycle of drives sees both nfs and mounter"},
		{Who: []string{"daemon/api"}, Not: []string{"std"}, But: []string{module + "daemon/api"},
			Why: "the API's types do no I/O and cost nothing"},
		{Who: []string{"daemon/places", "daemon/crash"}, Not: []string{"std"}, But: []string{module + "daemon/places", module + "daemon/crash"},
			Why: "the app gets them without the service"},
		{Who: []string{"daemon/client"}, Not: []string{"daemon/internal/...", "nfs/...", "mounter/...", "providers/..."},
			Why: "whoever imports the client must not get the service with it"},
		{Who: []string{"daemon/...", "nfs/...", "mounter/...", "providers/...", "assets/..."}, Not: []string{"fyne.io/...", "app/..."},
			Why: "nothing outside app knows the window"},
		{Who: []string{"app/..."}, Not: []string{"nfs/...", "mounter/...", "providers/...", "daemon/internal/..."},
			Why: "the app sees the service's API and client, never the engine"},
		{Who: []string{"app/cmd/moorage", "app/internal/cli/..."}, Not: []string{"fyne.io/...", "assets/..."},
			Why: "the command line runs without a desktop"},
		{Who: []string{"app/internal/model/..."}, Not: []string{"fyne.io/..."}, Why: "view state is tested without a window"},
		{Who: []string{"nfs/...", "mounter/...", "providers/...", "daemon/...", "app/...", "assets/..."},
			Not: []string{"net/http/pprof", "expvar"}, Direct: true, Why: "nobody is told of the memory of a service (SECURITY.md, rule 12)"},
		{Who: []string{"nfs/...", "mounter/...", "providers/...", "daemon/...", "app/...", "assets/..."},
			Except: []string{"nfs/nfstest/...", "providers/providertest/...", "providers/s3/s3test/...", "daemon/internal/kerneltest/...", "daemon/internal/mounts/mountstest/...", "daemon/internal/drive/drivetest/...", "daemon/internal/drive/disk/disktest/..."},
			Not:    []string{"nfs/nfstest/...", "providers/providertest/...", "providers/s3/s3test/...", "daemon/internal/mounts/mountstest/...", "daemon/internal/drive/drivetest/...", "daemon/internal/drive/disk/disktest/...", "testing"},
			Why:    "test packages are for tests"},
	}
}

// Package is one package of the graph, with what it depends on.
type Package struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// Break is one dependency that a rule forbids.
type Break struct {
	Package, On, Why string
}

// Check returns the breaks of rules in the packages of this module.
func Check(rules []Rule, pkgs []Package) []Break {
	var out []Break
	for _, p := range pkgs {
		for _, r := range rules {
			if !match(r.Who, p.ImportPath) || match(r.Except, p.ImportPath) {
				continue
			}
			on := p.Deps
			if r.Direct {
				on = p.Imports
			}
			for _, d := range on {
				if match(r.Not, d) && !match(r.But, d) {
					out = append(out, Break{Package: p.ImportPath, On: d, Why: r.Why})
				}
			}
		}
	}
	return out
}

// standard are the packages of the standard library that rules name.
var standard = []string{"testing", "net/http/pprof", "expvar"}

func match(patterns []string, path string) bool {
	for _, pat := range patterns {
		if pat == "std" {
			first, _, _ := strings.Cut(path, "/")
			if strings.Contains(first, ".") {
				return true
			}
			continue
		}
		first, _, _ := strings.Cut(pat, "/")
		if !strings.Contains(first, ".") && !slices.Contains(standard, pat) {
			pat = module + pat
		}
		if base, all := strings.CutSuffix(pat, "/..."); path == base || all && strings.HasPrefix(path, base+"/") {
			return true
		}
	}
	return false
}
