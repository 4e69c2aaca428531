package posix

import (
	"fmt"
	"strings"
)

// everybody are the users by their relation to what "owner" owns.
var everybody = []string{"root", "owner", "mate", "guest", "other"}

func modeChecks() []check {
	modes := []int{0, 0o400, 0o241, 0o120, 0o014, 0o002, 0o466, 0o066, 0o606, 0o750}
	var out []check
	for _, mode := range modes {
		script := fmt.Sprintf("put f text\nchown f 1000 2000\nchmod f %o\n", mode)
		for _, u := range everybody {
			for _, s := range []string{"access f 4", "access f 2", "access f 1", "access f 7", "open x f R", "open x f W", "open x f RW", "open x f W|CREAT", "open x f W|APPEND", "open x f W|TRUNC", "open x f W|TRUNC",
				"truncate f 4", "utimens f now now", "utimens f", "utimens f 5 6", "utimens f omit 6", "utimens f omit now", "utimens f omit omit", "stat f", "getxattr f"} {
				if s == "getxattr f" {
					continue
				}
				script += u + ": " + s + "\n"
			}
			if u != "root" && u != "owner" {
				script += u + fmt.Sprintf(": chmod f %o\n", mode) + u + ": chown f 1000 2000\n" + u + ": chown f -1 -1\n"
			}
		}
		out = append(out, check{name: fmt.Sprintf("a file of mode %03o", mode), script: script})
	}
	return out
}

func dirModes() []check {
	var out []check
	for _, mode := range []int{0, 0o777, 0o500, 0o300, 0o600, 0o053, 0o035, 0o161} {
		script := fmt.Sprintf("mkdir d 777\nmkdir d/sub 777\nput d/f text\nchmod d/f 666\nmkdir d/out 777\nchown d 1000 2000\nchmod d %o\nput mine text\nchmod mine 666\nmkdir any 777\n", mode)
		for _, u := range everybody {
			for _, s := range []string{"access d 4", "access d 2", "access d 1", "ls d", "stat d", "stat d/f", "stat d/none", "cat d/f", "open x d R|DIRECTORY", "put d/f text", "create d/f 644",
				"create d/new 644", "unlink d/new", "mkdir d/new 755", "rmdir d/new", "symlink x d/new", "unlink d/new", "link mine d/new", "unlink d/new", "mknod d/new fifo 644",
				"rename d/new d/other", "unlink d/new", "unlink d/other", "unlink d/none", "rmdir d/none", "rmdir d/f", "unlink d/sub", "rename d/none x", "rename d/f d/g", "rename d/g d/f",
				"rename d/f any/f", "rename any/f d/f", "rename d/sub any/sub", "rename any/sub d/sub", "truncate d/f 4", "chmod d/f 666", "utimens d now now", "utimens d 5 6"} {
				script += u + ": " + s + "\n"
			}
			script += "restoredir\n"
		}
		out = append(out, check{name: fmt.Sprintf("a directory of mode %03o", mode), script: strings.ReplaceAll(script, "restoredir\n", fmt.Sprintf("chmod d %o\n", mode))})
	}
	return out
}

func sticky() []check {
	var out []check
	for _, owner := range []int{0, 1000, 1001} {
		for _, entry := range []int{0, 1000, 1001} {
			for _, k := range []string{"file", "dir"} {
				script := fmt.Sprintf("mkdir d 777\nchown d %d 2000\nchmod d 1777\nmkdir e 777\n", owner)
				made := make1(k, "d/x") + fmt.Sprintf("lchown d/x %d 2000\nchmod d/x 777\n", entry)
				target := make1(k, "d/y") + fmt.Sprintf("lchown d/y %d 2000\nchmod d/y 777\n", entry)
				for _, u := range []string{"owner", "mate", "other"} {
					remove := "unlink d/x\n"
					if k == "dir" {
						remove = "rmdir d/x\n"
					}
					script += made + u + ": rename d/x d/z\nrename d/z d/x\n" + u + ": rename d/x e/x\nrename e/x d/x\n" +
						u + ": link d/x e/l\nunlink e/l\n" + u + ": " + remove + made
					script += target + u + ": " + make1(k, "d/mine") + u + ": rename d/mine d/y\n" + u + ": rename d/x d/y\n" + u + ": " + make1(k, "e/mine") + u + ": rename e/mine d/y\n"
					for _, p := range []string{"d/x", "d/y", "d/z", "d/mine", "e/mine", "e/x"} {
						script += strings.Replace(remove, "d/x", p, 1)
					}
				}
				out = append(out, check{name: fmt.Sprintf("a sticky directory of %d with a %s of %d", owner, k, entry), script: script})
			}
		}
	}
	return out
}

// setid are the calls that take set-id bits away.
func setid() []check {
	var out []check
	calls := []string{"write a 0 x", "ftruncate a 0", "ftruncate a 4", "truncate f 2", "truncate f 4", "open b f W|TRUNC", "chown f 1000 2000", "chown f -1 2000", "chown f -1 3000", "chown f 1000 -1", "chown f -1 -1",
		"lchown f 1000 3000", "chmod f 6777", "chmod f 2755", "chmod f 4755", "utimens f 5 6", "utimens f now now", "mapwrite a 0 xy", "fchown a -1 -1", "link f g", "rename f f2", "write a 0 *0", "fchown a -1 2000"}
	for _, mode := range []int{0o6777, 0o2767, 0o7766} {
		script := ""
		for _, u := range []string{"root", "owner", "mate", "other"} {
			for i, c := range calls {
				f := fmt.Sprintf("%s%d", u, i)
				script += fmt.Sprintf("put %s text\nchown %s 1000 2000\nchmod %s %o\n%s: open a %s RW\n%s: %s\nclose a\nstat %s\n", f, f, f, mode, u, f, u,
					strings.NewReplacer(" f ", " "+f+" ", " f2", " "+f, " f\n", " "+f+"\n", " g", " g"+f).Replace(c+"\n"), f)
			}
		}
		out = append(out, check{name: fmt.Sprintf("set-id bits of %04o", mode), script: script})
	}
	out = append(out, check{name: "set-id bits of directories", script: `
		mkdir d 755
		chown d 1000 2000
		owner: chmod d 6775
		stat d
		owner: chown d -1 3000
		stat d
		chown d 1000 2000
		stat d
		chown d 1000 2003
		owner: chmod d 2755
		stat d
		owner: chmod d 7755
		stat d
		chmod d 7755
		stat d
		owner: utimens d now now
		owner: create d/f 644
		stat d`}, check{name: "chmod of groups that are not one's own", script: `
		put f text
		chown f 1000 2003
		owner: chmod f 6755
		stat f
		owner: chmod f 2755
		stat f
		chmod f 2755
		owner: chmod f 3755
		stat f
		owner: chown f -1 3000
		owner: chmod f 2755
		stat f
		owner: chown f -1 2002
		owner: chown f 1001 -1
		owner: chown f 1000 3000
		owner: chown f 1000 2000
		owner: chown f -1 2000
		mate: chown f -1 2000
		mate: chown f -1 -1
		mate: chmod f 644
		guest: chown f 1002 2001
		stat f
		owner: chmod f 1644
		stat f
		chmod f 1644
		stat f
		chown f 4294967294 4294967294
		stat f
		chown f 65534 65534
		stat f`})
	return out
}

// inherit is what new objects get from their directory.
func inherit() []check {
	var out []check
	for _, dir := range []string{"777", "2777", "3770"} {
		for _, mask := range []string{"0", "027"} {
			script := "mkdir d 777\nchown d 1000 2001\nchmod d " + dir + "\numask " + mask + "\n"
			for _, u := range []string{"root", "owner", "guest", "other"} {
				for i, k := range []string{"file", "dir", "symlink", "fifo", "socket"} {
					script += u + ": " + make1(k, fmt.Sprintf("d/%s%d", u, i)) + fmt.Sprintf("lstat d/%s%d\n", u, i)
				}
				script += fmt.Sprintf("%s: create d/%s-x 6777\nlstat d/%s-x\n%s: mkdir d/%s-y 2755\nlstat d/%s-y\n%s: mkdir d/%s-y/z 777\nlstat d/%s-y/z\n", u, u, u, u, u, u, u, u, u) +
					fmt.Sprintf("%s: open a d/%s-o W|CREAT 2775\nlstat d/%s-o\n%s: open a d/%s-r W|CREAT 2745\nlstat d/%s-r\n%s: create d/%s-p 2745\nlstat d/%s-p\n%s: mknod d/%s-q fifo 6775\nlstat d/%s-q\n", u, u, u, u, u, u, u, u, u, u, u, u)
			}
			out = append(out, check{name: "new in a directory of mode " + dir + " with umask " + mask, script: script})
		}
	}
	return out
}

func setTimes() []check {
	var script string
	for _, k := range kinds {
		script += make1(k, k) + "utimens " + k + " 1.5 2.000000007\n"
		if k == "symlink" {
			script += "lutimens symlink 1.5 2.000000007\n"
		}
		script += "times " + k + "\n"
		for _, ts := range []string{"0 0", "omit 3", "4 omit", "omit omit", "2147483647 2147483648", "4294967295 4294967294.999999999", "1000000000.123456789 999999999.999999999"} {
			script += "lutimens " + k + " " + ts + "\ntimes " + k + "\n"
		}
		script += "other: lutimens " + k + " 1 1\ntimes " + k + "\nother: lutimens " + k + " now now\n"
	}
	return []check{{name: "times that are set", script: script}, {name: "times out of range", script: `
		create f 644
		utimens f -1 -1
		times f
		utimens f 4294967296 4294967296
		times f
		utimens f 5.1000000000 6
		utimens none 5 6
		mkdir d 755
		utimens d 1 2
		times d
		create d/x 644
		put f text
		utimens f 7 8
		times f
		cat f
		open a f RW
		write a 0 TEXT
		utimens f 7 8
		close a
		times f
		open a f RW
		write a 0 late
		fsync a
		utimens f 9 10
		times f
		close a
		times f`}}
}

// clocks are which times move on a change.
func clocks() []check {
	const before = `
		mkdir d 777
		mkdir e 777
		put d/f text
		put d/g text
		mkdir d/sub 777
		symlink x d/l
		open a d/f RW
		tick
		mark d e d/f d/g d/sub d/l
		tick
	`
	calls := []string{"chmod d/f 600", "chmod d/f 644", "chown d/f 5 6", "chown d/f -1 -1", "lchown d/l 5 6", "truncate d/f 2", "truncate d/f 4", "ftruncate a 4", "open b d/f W|TRUNC", "write a 0 x", "write a 10 x", "write a 0 *0",
		"link d/f d/h", "link d/f e/h", "rename d/f d/h", "rename d/f e/h", "rename d/f d/g", "rename d/sub e/sub", "rename d/sub d/sub2", "unlink d/g", "rmdir d/sub", "create d/n 644", "create d/f 644",
		"open b d/f R|CREAT", "mkdir d/n 755", "mkdir d/sub 755", "symlink x d/n", "mknod d/n fifo 644", "utimens d/f 5 6", "utimens d/f omit 6", "utimens d/f 5 omit", "utimens d/f omit omit",
		"utimens d/f now omit", "utimens d/f omit now", "chmod d 700", "cat d/f", "ls d", "stat d/f", "access d/f 4", "fsync a", "other: chmod d/f 777", "other: unlink d/none", "rename d/f d/f", "unlink d/none", "create d/sub/x 644"}
	var out []check
	for _, c := range calls {
		files := []string{"d", "e", "d/f", "d/g", "d/sub", "d/l"}
		switch c {
		case "rename d/f d/h":
			files[2] = "d/h=d/f"
		case "rename d/f e/h":
			files[2] = "e/h=d/f"
		case "rename d/f d/g":
			files[2], files[3] = "d/g=d/f", ""
		case "rename d/sub e/sub":
			files[4] = "e/sub=d/sub"
		case "rename d/sub d/sub2":
			files[4] = "d/sub2=d/sub"
		case "unlink d/g":
			files[3] = ""
		case "rmdir d/sub":
			files[4] = ""
		}
		script := before + c + "\nclose a\n"
		for _, f := range files {
			if f != "" {
				script += "moved " + f + "\n"
			}
		}
		out = append(out, check{name: "times after " + c, script: script})
	}
	return out
}
