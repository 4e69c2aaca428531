package posix

import (
	"fmt"
	"strings"
)

// onOld are calls on something that has to exist, onNew those that make %.
var (
	onOld = []string{"chmod % 644", "chown % 0 0", "lchown % 0 0", "truncate % 0", "utimens % 5 6", "utimens %", "unlink %", "rmdir %", "rename % new", "link % new",
		"open a % R|NONBLOCK", "open a % W|NONBLOCK", "stat %", "lstat %", "readlink %", "access % 4", "ls %"}
	onNew = []string{"create % 644", "mkdir % 755", "mkfifo % 644", "mknod % socket 644", "symlink x %", "link f %", "rename f %", "open a % RW|CREAT 644"}
)

// pathErrors are what every call says of paths that lead nowhere.
func pathErrors() []check {
	const world = `
		create f 644
		mkdir locked 700
		create locked/f 644
		symlink loop loop
		symlink there back
		symlink back there
	`
	type bad struct{ path, result string }
	bads := []bad{{"f/x", "ENOTDIR"}, {"f/x/y", "ENOTDIR"}, {"none/x", "ENOENT"}, {"''", "ENOENT"}, {"loop/x", "ELOOP"}, {"back/x", "ELOOP"},
		{"{256}", "ENAMETOOLONG"}, {"{256}/x", "ENAMETOOLONG"}, {"{4200/99}", "ENAMETOOLONG"}}
	var out []check
	add := func(call string, bads []bad) {
		script := ""
		for _, b := range bads {
			user := ""
			if strings.HasPrefix(b.path, "locked/") {
				user = "other: "
			}
			script += user + strings.Replace(call, "%", b.path, 1) + " -> " + b.result + "\nlstat f\n"
		}
		out = append(out, check{name: "errors of paths: " + call, script: script, world: world})
	}
	for _, call := range onOld {
		more := append([]bad{{"none", "ENOENT"}, {"locked/f", "EACCES"}}, bads...)
		switch strings.Fields(call)[0] {
		case "lchown", "unlink", "rename", "link", "lstat", "readlink": // they do not follow
		case "rmdir":
			more = append(more, bad{"loop", "ENOTDIR"}, bad{"f", "ENOTDIR"})
		default:
			more = append(more, bad{"loop", "ELOOP"}, bad{"back", "ELOOP"})
		}
		add(call, more)
	}
	for _, call := range onNew {
		more := append([]bad{{"locked/new", "EACCES"}}, bads...)
		switch strings.Fields(call)[0] {
		case "rename":
		case "open":
			more = append(more, bad{"loop", "ELOOP"}, bad{"back", "ELOOP"})
		default:
			more = append(more, bad{"f", "EEXIST"}, bad{"locked", "EEXIST"}, bad{"loop", "EEXIST"})
		}
		add(call, more)
	}
	return out
}

// modeRights is what the classes of users may do with a file of owner 1000:2000.
// root may do all.
func modeRights() string {
	classes := []struct {
		users []string
		shift int
	}{{[]string{"owner"}, 6}, {[]string{"mate", "guest"}, 3}, {[]string{"other"}, 0}}
	out := ""
	for _, mode := range []int{0o600, 0o440, 0o204, 0o060, 0o006, 0o070, 0o707} {
		f := fmt.Sprintf("m%o", mode)
		out += fmt.Sprintf("put %s text\nchown %[1]s 1000 2000\nchmod %[1]s %o\n", f, mode)
		for _, c := range classes {
			for _, u := range c.users {
				may := func(bits int) string {
					if mode>>c.shift&bits == bits {
						return "ok"
					}
					return "EACCES"
				}
				out += fmt.Sprintf("%[1]s: open a %[2]s R -> %[3]s\n%[1]s: open a %[2]s W -> %[4]s\n%[1]s: open a %[2]s RW -> %[5]s\n%[1]s: truncate %[2]s 4 -> %[4]s\n%[1]s: access %[2]s 1 -> %[6]s\n",
					u, f, may(4), may(2), may(6), may(1))
			}
		}
		out += fmt.Sprintf("open a %s RW -> ok\ntruncate %[1]s 4 -> ok\n", f)
	}
	return out
}

// expected are results that POSIX and Linux's man pages give.
func expected() []check {
	return []check{{name: "rights by mode and class", script: modeRights()},
		{name: "chmod: who may", script: `
			put f text
			chown f 1000 2000
			owner: chmod f 600 -> ok
			mate: chmod f 644 -> EPERM
			guest: chmod f 644 -> EPERM
			other: chmod f 644 -> EPERM
			chmod f 4711 -> ok
			stat f -> file 4711 links 1 owner 1000:2000 size 4
			owner: chmod f 6777 -> ok
			stat f -> file 6777 links 1 owner 1000:2000 size 4
			chown f 1000 2003
			owner: chmod f 6777 -> ok
			stat f -> file 4777 links 1 owner 1000:2003 size 4
			owner: chmod f 0 -> ok
			owner: chmod f 644 -> ok
			symlink f l
			chmod l 600 -> ok
			stat f -> file 0600 links 1 owner 1000:2003 size 4
			mkdir d 755
			other: chmod d 777 -> EPERM
			chmod d 1777 -> ok
			stat d -> dir 1777 links 2 owner 0:0
			mkfifo p 600
			chmod p 644 -> ok
			stat p -> fifo 0644 links 1 owner 0:0 size 0`},
		{name: "chown: who may", script: `
			put f text
			chown f 1000 2000 -> ok
			owner: chown f 1001 2000 -> EPERM
			owner: chown f 1001 -1 -> EPERM
			owner: chown f -1 2003 -> EPERM
			owner: chown f -1 3000 -> ok
			owner: chown f 1000 2000 -> ok
			mate: chown f 1001 2000 -> EPERM
			mate: chown f 1000 2000 -> EPERM
			guest: chown f -1 2001 -> EPERM
			other: chown f 1003 2003 -> EPERM
			stat f -> file 0644 links 1 owner 1000:2000 size 4
			chmod f 6755
			owner: chown f -1 3000 -> ok
			stat f -> file 0755 links 1 owner 1000:3000 size 4
			chmod f 6755
			chown f 0 0 -> ok
			stat f -> file 0755 links 1 owner 0:0 size 4
			symlink f l
			lchown l 1000 2000 -> ok
			lstat l -> symlink 0777 links 1 owner 1000:2000 size 1
			owner: lchown l -1 3000 -> ok
			other: lchown l -1 2003 -> EPERM
			owner: chown l -1 3000 -> EPERM
			chown l 1001 2000 -> ok
			stat f -> file 0755 links 1 owner 1001:2000 size 4
			mkdir d 755
			chown d 1000 2000 -> ok
			other: chown d 1003 -1 -> EPERM
			stat d -> dir 0755 links 2 owner 1000:2000`},
		{name: "link: who may, and what", script: `
			put f text
			chmod f 666
			mkdir d 755
			link f d/g -> ok
			stat f -> file 0666 links 2 owner 0:0 size 4
			link f d/g -> EEXIST
			link f d -> EEXIST
			link d e -> EPERM
			other: link f d/h -> EACCES
			other: link f h -> ok
			mkfifo p 644
			link p q -> ok
			stat q -> fifo 0644 links 2 owner 0:0 size 0
			symlink f l
			link l m -> ok
			lstat m -> symlink 0777 links 2 owner 0:0 size 1
			unlink f -> ok
			stat d/g -> file 0666 links 2 owner 0:0 size 4
			cat d/g -> "text"`},
		{name: "mkdir, mkfifo, symlink, open: who may", script: `
			mkdir d 755
			chown d 1000 2000
			mate: mkdir d/x 755 -> EACCES
			mate: mkfifo d/x 644 -> EACCES
			mate: symlink x d/x -> EACCES
			mate: create d/x 644 -> EACCES
			mate: open a d/x W|CREAT -> EACCES
			owner: mkdir d/a 755 -> ok
			owner: mkfifo d/b 640 -> ok
			owner: symlink x d/c -> ok
			owner: create d/e 600 -> ok
			stat d/a -> dir 0755 links 2 owner 1000:2000
			stat d/b -> fifo 0640 links 1 owner 1000:2000 size 0
			lstat d/c -> symlink 0777 links 1 owner 1000:2000 size 1
			stat d/e -> file 0600 links 1 owner 1000:2000 size 0
			umask 077
			owner: mkdir d/f 777 -> ok
			owner: mkfifo d/g 666 -> ok
			stat d/f -> dir 0700 links 2 owner 1000:2000
			stat d/g -> fifo 0600 links 1 owner 1000:2000 size 0
			umask 0
			mkfifo d/b 644 -> EEXIST
			mkfifo d/a 644 -> EEXIST
			mkdir d/b 755 -> EEXIST
			symlink x d/c -> EEXIST
			chmod d 2777
			other: mkdir d/h 755 -> ok
			stat d/h -> dir 2755 links 2 owner 1003:2000
			other: mkfifo d/i 644 -> ok
			stat d/i -> fifo 0644 links 1 owner 1003:2000 size 0
			chmod d 666
			other: mkfifo d/j 644 -> EACCES
			owner: mkfifo d/j 644 -> EACCES
			mkfifo d/j 644 -> ok
			chmod d 755`},
		{name: "open: what must fail", script: `
			put f text
			mkdir d 755
			symlink f l
			symlink d k
			symlink none n
			mkfifo p 666
			open a f W|CREAT|EXCL -> EEXIST
			open a d W|CREAT|EXCL -> EEXIST
			open a l W|CREAT|EXCL -> EEXIST
			open a n W|CREAT|EXCL -> EEXIST
			open a d W -> EISDIR
			open a d RW -> EISDIR
			open a d R|CREAT -> EISDIR
			open a f R|DIRECTORY -> ENOTDIR
			open a l R|DIRECTORY -> ENOTDIR
			open a k R|DIRECTORY -> ok
			open a l R|NOFOLLOW -> ELOOP
			open a k R|NOFOLLOW -> ELOOP
			open a p W|NONBLOCK -> ENXIO
			open a p R|NONBLOCK -> ok
			open a n W|CREAT -> ok
			stat none -> file 0644 links 1 owner 0:0 size 0
			open a f W|TRUNC -> ok
			stat f -> file 0644 links 1 owner 0:0 size 0`},
		{name: "rmdir, unlink: what must fail", script: `
			mkdir d 755
			create d/f 644
			mkdir e 755
			mkdir e/e 755
			symlink e l
			rmdir d -> ENOTEMPTY
			rmdir e -> ENOTEMPTY
			rmdir d/f -> ENOTDIR
			rmdir l -> ENOTDIR
			rmdir e/. -> EINVAL
			rmdir e/e/.. -> ENOTEMPTY
			unlink d -> EISDIR
			unlink e/e -> EISDIR
			other: unlink d/f -> EACCES
			other: rmdir e/e -> EACCES
			unlink d/f -> ok
			rmdir d -> ok
			rmdir e/e -> ok
			rmdir e -> ok
			unlink l -> ok
			unlink l -> ENOENT
			rmdir e -> ENOENT
			mkfifo p 644
			rmdir p -> ENOTDIR
			unlink p -> ok
			ls . -> ../4 ./4`},
		{name: "rename: what must fail", script: `
			put f text
			put g other
			mkdir d 755
			create d/f 644
			mkdir e 755
			mkdir e/e 755
			mkdir h 755
			rename f d -> EISDIR
			rename f h -> EISDIR
			rename d f -> ENOTDIR
			rename h d -> ENOTEMPTY
			rename h e -> ENOTEMPTY
			rename e e/e/x -> EINVAL
			rename e e/e -> EINVAL
			rename e/e e -> ENOTEMPTY
			rename none x -> ENOENT
			rename f none/x -> ENOENT
			other: rename d/f x -> EACCES
			other: rename f d/x -> EACCES
			rename d/. x -> EBUSY
			rename f f -> ok
			rename f g -> ok
			cat g -> "text"
			rename d h -> ok
			ls h -> ../4 ./4 f/8
			mkfifo p 644
			rename p g -> ok
			stat g -> fifo 0644 links 1 owner 0:0 size 0`},
		{name: "another mount", script: `
			put f text
			mkdir d 755
			symlink f l
			mkfifo p 644
			put @far text
			mkdir @dir 755
			rename f @x -> EXDEV
			rename f @far -> EXDEV
			rename d @x -> EXDEV
			rename d @dir -> EXDEV
			rename l @x -> EXDEV
			rename p @x -> EXDEV
			rename @far x -> EXDEV
			rename @far f -> EXDEV
			rename @dir x -> EXDEV
			link f @x -> EXDEV
			link l @x -> EXDEV
			link p @x -> EXDEV
			link @far x -> EXDEV
			linkto l @x -> EXDEV
			rename none @x -> EXDEV
			link none @x -> ENOENT
			stat @x -> ENOENT
			cat @far -> "text"
			cat f -> "text"
			unlink @far -> ok
			rmdir @dir -> ok`},
		{name: "truncate: who may, and what", script: `
			put f 0123456789
			chown f 1000 2000
			chmod f 644
			other: truncate f 0 -> EACCES
			mate: truncate f 0 -> EACCES
			owner: truncate f 4 -> ok
			cat f -> "0123"
			truncate f 6 -> ok
			cat f -> "0123\x00\x00"
			truncate f -1 -> EINVAL
			mkdir d 755
			truncate d 0 -> EISDIR
			symlink f l
			truncate l 1 -> ok
			cat f -> "0"
			open a f R
			ftruncate a 0 -> EINVAL
			other: truncate d 0 -> EISDIR
			chmod f 4766
			other: truncate f 0 -> ok
			stat f -> file 0766 links 1 owner 1000:2000 size 0
			truncate f 5000000000 -> ok
			stat f -> file 0766 links 1 owner 1000:2000 size 5000000000
			truncate f 0 -> ok`},
		{name: "utimensat: who may", script: `
			put f text
			chown f 1000 2000
			chmod f 644
			owner: utimens f 5 6 -> ok
			times f -> 5.000000000 6.000000000
			owner: utimens f omit 7 -> ok
			times f -> 5.000000000 7.000000000
			owner: utimens f 8.000000009 omit -> ok
			times f -> 8.000000009 7.000000000
			mate: utimens f 1 2 -> EPERM
			mate: utimens f omit 2 -> EPERM
			mate: utimens f 1 omit -> EPERM
			mate: utimens f now omit
			mate: utimens f omit now
			mate: utimens f now now -> EACCES
			mate: utimens f -> EACCES
			mate: utimens f omit omit -> ok
			guest: utimens f 1 2 -> EPERM
			guest: utimens f now now -> EACCES
			guest: utimens f -> EACCES
			other: utimens f 1 2 -> EPERM
			other: utimens f omit 2 -> EPERM
			other: utimens f now now -> EACCES
			other: utimens f -> EACCES
			other: utimens f omit omit -> ok
			times f -> 8.000000009 7.000000000
			chmod f 666
			other: utimens f 1 2 -> EPERM
			other: utimens f 1 omit -> EPERM
			other: utimens f omit 2 -> EPERM
			other: utimens f now 2 -> EPERM
			other: utimens f 1 now -> EPERM
			times f -> 8.000000009 7.000000000
			other: utimens f now now -> ok
			mate: utimens f -> ok
			owner: utimens f now omit -> ok
			owner: utimens f omit now -> ok
			owner: utimens f 1 now -> ok
			utimens f 1 2 -> ok
			times f -> 1.000000000 2.000000000
			symlink f l
			utimens l 3 4 -> ok
			times f -> 3.000000000 4.000000000
			lutimens l 5 6 -> ok
			times l -> 5.000000000 6.000000000
			times f -> 3.000000000 4.000000000
			other: lutimens l 7 8 -> EPERM
			mkdir d 755
			utimens d 1 2 -> ok
			times d -> 1.000000000 2.000000000
			other: utimens d -> EACCES
			other: utimens d 3 4 -> EPERM
			mkfifo p 644
			utimens p 1 2 -> ok
			times p -> 1.000000000 2.000000000`}}
}

// stickyUsers are three users in a sticky directory: whose entry it is, whose
// directory, and neither.
func stickyUsers() []check {
	var out []check
	for _, k := range []string{"file", "dir", "symlink", "fifo"} {
		remove := "unlink "
		if k == "dir" {
			remove = "rmdir "
		}
		made := func(u, p string) string { return u + ": " + make1(k, p) }
		script := "mkdir d 777\nchown d 1000 2000\nchmod d 1777\nmkdir e 777\n" + made("mate", "d/x") +
			"other: " + remove + "d/x -> EPERM\nguest: " + remove + "d/x -> EPERM\nother: rename d/x d/y -> EPERM\nother: rename d/x e/x -> EPERM\n" +
			made("other", "d/o") + "other: rename d/o d/x -> EPERM\nother: rename d/o d/p -> ok\nother: rename d/p d/o -> ok\n" +
			"mate: rename d/x d/o -> EPERM\nmate: " + remove + "d/o -> EPERM\n" +
			"mate: rename d/x d/y -> ok\nmate: " + remove + "d/y -> ok\n" +
			"owner: rename d/o d/q -> ok\nowner: " + remove + "d/q -> ok\n" +
			made("mate", "d/x") + "root: " + remove + "d/x -> ok\n" +
			"chmod d 777\n" + made("mate", "d/x") + "other: " + remove + "d/x -> ok\n" +
			"chown d 0 0\nchmod d 1777\n" + made("mate", "d/x") + "owner: " + remove + "d/x -> EPERM\nmate: " + remove + "d/x -> ok\nls d -> ../4 ./4\n"
		out = append(out, check{name: "a sticky directory and three users: " + k, script: script})
	}
	return out
}
