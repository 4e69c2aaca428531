package posix

import (
	"slices"
	"strings"
)

// checks are all scripts.
func checks() []check {
	out := slices.Clone(plain)
	for _, f := range []func() []check{paths, rename, linkChecks, modeChecks, dirModes, sticky, setid, inherit, setTimes, clocks, pathErrors, expected, stickyUsers} {
		out = append(out, f()...)
	}
	return out
}

// paths are all calls on all sorts of paths.
func paths() []check {
	const world = `
		create f 644
		mkdir d 755
		create d/in 644
		mkdir empty 755
		symlink f tofile
		symlink d todir
		symlink none dangling
		symlink loop loop
		symlink loop1 loop2
		symlink loop2 loop1
		mknod p fifo 644
	`
	places := []string{"f", "d", "empty", "none", "f/x", "none/x", "dangling", "dangling/x", "tofile", "tofile/x", "todir", "todir/in", "todir/new",
		"loop", "loop/x", "loop1", "{255}", "{256}", "d/{255}", "d/{256}", "{256}/x", "{3900/99}", "{4200/99}", "''",
		"f/", "d/", "none/", "todir/", "tofile/", "dangling/", "d/.", "d/..", "d/../f", ".", "f/.", "f/..", "p", "p/x"}
	calls := []string{"create % 644", "open a % R|NONBLOCK", "open a % RW|NONBLOCK", "open a % R|DIRECTORY", "open a % R|NOFOLLOW|NONBLOCK", "open a % W|CREAT|NONBLOCK",
		"open a % W|CREAT|EXCL", "open a % W|TRUNC|NONBLOCK", "mkdir % 755", "mknod % fifo 644", "mknod % file 600", "symlink x %", "link f %", "link % new", "linkto % new",
		"rename f %", "rename d %", "rename % new", "rename % d/new", "unlink %", "rmdir %", "chmod % 700", "chown % 5 6", "lchown % 5 6", "truncate % 3",
		"utimens % 5 6", "lutimens % 5 6", "stat %", "lstat %", "readlink %", "access % 4", "ls %", "cat %", "statfs %"}
	var out []check
	for _, call := range calls {
		script := ""
		for _, p := range places {
			script += strings.ReplaceAll(call, "%", p) + "\nrestore\n"
		}
		out = append(out, check{name: "path: " + call, script: script, world: world})
	}
	return out
}

// objects of the rename matrix.
var things = []string{"file", "dir", "full", "symlink", "fifo"}

func rename() []check {
	var out []check
	for _, src := range things {
		for _, dst := range append([]string{"none"}, things...) {
			script := make1(src, "a")
			if dst != "none" {
				script += make1(dst, "b")
			}
			script += "rename a b\nlstat a\nlstat b\n"
			script += make1("dir", "s") + make1("dir", "t") + make1(src, "s/a")
			if dst != "none" {
				script += make1(dst, "t/b")
			}
			script += "rename s/a t/b\nlstat s/a\nlstat t/b\nstat s\nstat t\nnoreplace t/b b\n"
			out = append(out, check{name: "rename " + src + " to " + dst, script: script})
		}
	}
	return append(out, check{name: "rename: odd cases", script: `
		put f text
		link f g
		rename f g
		ls .
		stat f
		rename f f
		mkdir d 755
		mkdir d/e 755
		rename d d
		rename d d/e
		rename d d/e/x
		rename d/e d
		rename d/. x
		rename . x
		rename d/.. x
		rename f d/.
		rename f d/..
		rename none x
		rename none/x x
		rename f none/x
		rename f g/x
		rename f {255}
		rename {255} {256}
		rename {255} d/e/f
		rename d/e e
		stat d
		ls e
		rename e/ y
		rename y z/
		rename z/f w/
		rename z/f w
		rename w z/
		symlink w l
		rename l m
		lstat m
		rename w m
		lstat m
		rename d/ m`})
}

func linkChecks() []check {
	var out []check
	for _, k := range kinds {
		out = append(out, check{name: "link to " + k, script: make1(k, "a") + `
			link a b
			lstat a
			lstat b
			same a b
			mkdir d 755
			link a d/c
			lstat a
			link a b
			link d/c a
			unlink a
			lstat b
			rename b d/c
			ls .
			unlink b
			lstat d/c`})
	}
	return append(out, check{name: "link: permissions", script: `
		owner: put f text
		other: link f g
		owner: link f h
		mkdir d 755
		owner: link f d/f
		mkdir e 700
		owner: link f e/f
		link f e/f
		link none x
		link f none/x
		link f f/x
		link d x
		link f d
		linkto f y
		symlink f s
		linkto s t
		lstat t
		link s u
		lstat u
		stat f`})
}
