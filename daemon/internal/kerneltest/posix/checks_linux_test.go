package posix

import (
	"fmt"
	"strings"
)

// checks are all scripts.
func checks() []check {
	var out []check
	for _, f := range []func() []check{plain, paths, rename, linkChecks, modeChecks, dirModes, sticky, setid, inherit, setTimes, clocks} {
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

func plain() []check { return plainChecks }

var plainChecks = []check{
	{name: "create and remove", script: `
		create f 644
		stat f
		create f 644
		unlink f
		unlink f
		stat f
		mkdir d 755
		mkdir d 755
		stat .
		unlink d
		rmdir d
		rmdir d
		stat .`},
	{name: "modes of new objects", script: `
		umask 022
		create a 666
		create b 7777
		create c 0
		mkdir d 777
		mkdir e 7777
		mkdir g 0
		mknod h fifo 666
		mknod i char 7777
		mknod j block 600 big
		mknod k socket 777
		symlink x l
		umask 077
		create m 666
		mkdir n 1777
		umask 0
		create o 666
		mkdir p 3777
		owner: create q 4755
		owner: create r 2755
		owner: create s 6755
		owner: create t 1644
		owner: mkdir u 7777
		owner: mknod v fifo 6777
		owner: mknod w socket 644
		owner: mknod x char 644
		owner: mknod y block 644
		owner: mknod z file 640
		owner: symlink t zz`},
	{name: "open: O_EXCL, O_TRUNC, O_APPEND", script: `
		open a f RW|CREAT|EXCL 640
		open b f RW|CREAT|EXCL
		write a - hello
		open b f R|CREAT|TRUNC
		fstat a
		write a - world
		read b 0 20
		open c f RW|APPEND
		write c - end
		write c 0 ignored
		read a 0 40
		open d f W|APPEND
		write d - !
		write c - ?
		read a 0 40
		seek c 0 cur
		read d 0 5
		write b 0 x
		open e f R|TRUNC
		stat f`},
	{name: "open: modes that forbid what the call itself may do", script: `
		owner: open a new RW|CREAT|EXCL 0
		owner: write a - text
		owner: read a 0 10
		owner: fsync a
		owner: fstat a
		owner: open b new R
		owner: open b new W
		owner: open c ro RW|CREAT 444
		owner: write c - text
		owner: ftruncate c 2
		owner: read c 0 10
		owner: open d ro W
		other: open d ro R
		owner: mapread c 0 2
		owner: open e wo W|CREAT 222
		owner: write e - text
		owner: open b wo R
		owner: close a
		owner: close c
		owner: close e
		cat new
		cat ro
		cat wo`},
	{name: "open: a name is made anew while the old one is open", script: `
		put f old
		open a f RW
		unlink f
		put f new!
		read a 0 10
		write a 0 OLD
		cat f
		read a 0 10
		close a
		ls .`},
	{name: "open files that lose their name", script: `
		put f text
		open a f RW
		open b f R
		unlink f
		stat f
		read b 0 10
		write a 4 more
		fsync a
		ftruncate a 6
		read b 0 10
		fchmod a 600
		fchown a 7 8
		seek a 0 end
		close a
		read b 0 10
		close b
		ls .
		put g old
		put h new
		open a g RW
		rename h g
		read a 0 10
		write a 0 OLD!
		read a 0 10
		cat g
		close a
		ls .
		mkdir d 755
		open a d R|DIRECTORY
		rmdir d
		fstat a
		close a
		stat d`},
	{name: "open files of another user that lose their name", script: `
		mkdir d 777
		owner: put d/f text
		other: open a d/f R
		owner: unlink d/f
		other: read a 0 10
		owner: put d/g text
		owner: chmod d/g 600
		open b d/g RW
		owner: unlink d/g
		read b 0 10
		write b 0 TEXT
		read b 0 10
		other: close a
		close b
		ls d
		rmdir d`},
	{name: "a file is opened, then its mode goes", script: `
		owner: put f text
		owner: open a f RW
		owner: chmod f 0
		owner: read a 0 10
		owner: write a 4 more
		owner: fsync a
		owner: ftruncate a 6
		owner: read a 0 10
		owner: open b f R
		owner: truncate f 0
		owner: close a
		cat f`},
	{name: "sizes and holes", script: `
		put f 0123456789
		truncate f 4
		cat f
		truncate f 8
		cat f
		open a f RW
		write a 20 x
		cat f
		ftruncate a 100000
		stat f
		write a 99999 *5000
		stat f
		read a 99990 20
		read a 200000 10
		write a 10000000000 y
		fstat a
		read a 9999999999 10
		ftruncate a 5000000000
		stat f
		ftruncate a 3
		cat f
		ftruncate a -1
		ftruncate a 0
		stat f
		open b f R
		ftruncate b 5
		truncate . 5
		truncate none 5
		other: truncate f 5
		write a 9223372036854775806 *2
		stat f`},
	{name: "reads and writes at odd places", script: `
		open a f RW|CREAT
		write a 0 *4095
		write a 4095 *2
		write a 8191 *4098
		write a 100 XYZ
		read a 4090 20
		read a 0 20000
		write a 1048570 *70000
		read a 1048560 70020
		read a 1118569 10
		read a 1118570 10
		seek a -10 end
		read a - 20
		read a - 20
		seek a 5 set
		write a - abc
		seek a 0 cur
		seek a -1 set
		fsync a
		fdatasync a`},
	{name: "O_DIRECT, O_SYNC, mmap", script: `
		direct dir
		unlink dir
		open a f RW|CREAT
		write a 0 *131072
		mapread a 65536 100
		mapwrite a 70000 mapped
		read a 70000 6
		close a
		cat f
		open b g W|CREAT|SYNC
		write b - synced
		write b - again
		cat g
		open c g R
		mapwrite c 0 x
		truncate g 3
		mapread c 0 3
		truncate g 9000
		mapread c 0 9000
		owner: open d h RW|CREAT 600
		owner: write d 0 *5000
		owner: mapwrite d 4990 across
		owner: close d
		cat h`},
	{name: "what a drive may lack", script: `
		open a f RW|CREAT
		fallocate a 0 0 10000
		fstat a
		fallocate a 1 0 20000
		fstat a
		write a 100000 x
		seek a 0 data
		seek a 0 hole
		seek a 200000 data
		setxattr f
		getxattr f
		open b . RW|TMPFILE
		exchange f f
		noreplace f g`},
	{name: "symbolic links", script: `
		symlink target a
		lstat a
		readlink a
		symlink '' b
		symlink {255} c
		symlink {1023/50} d
		readlink d
		symlink {1024/50} e
		readlink e
		symlink ../{300} f
		readlink f
		symlink a a
		put target text
		cat a
		chmod a 600
		stat target
		lstat a
		chown a 5 6
		lchown a 7 8
		stat target
		lstat a
		open x a R|NOFOLLOW
		open x a W|CREAT
		open x a W|CREAT|EXCL
		owner: symlink target mine
		owner: lchown mine -1 3000
		owner: lchown mine 1003 -1
		other: lchown mine 1003 -1
		lstat mine
		readlink target
		readlink .
		unlink a
		stat target
		rmdir mine`},
	{name: "special nodes", script: `
		mknod p fifo 666
		open a p RW
		write a - through
		read a - 20
		open b p W|NONBLOCK
		truncate p 3
		bind s
		lstat s
		open b s R
		bind s
		mknod c char 600
		mknod d block 640 big
		stat c
		stat d
		chmod c 4711
		chown d 5 6
		stat c
		stat d
		owner: open b c R
		owner: open b d R
		owner: unlink c
		unlink c
		rename d e
		link e d
		stat d`},
	{name: "directories", script: `
		mkdir a 755
		mkdir a/b 755
		mkdir a/b/c 755
		stat a
		stat a/b
		rmdir a
		rmdir a/b
		create a/f 644
		rmdir a
		rmdir a/f
		rmdir a/.
		rmdir a/b/..
		rmdir .
		open x a RW
		open x a W
		open x a R|CREAT
		open x a R|DIRECTORY
		open x a/f R|DIRECTORY
		read x 0 10
		write x 0 10
		ls a
		rename a/b/c c
		stat a/b
		stat .
		rmdir a/b
		stat a
		rmdir c
		chmod a 1777
		stat a
		rmdir none/x
		rmdir a/f/x`},
	{name: "listing with a small buffer", script: `
		mkdir d 755
		fill d 250
		walk d 200
		walk d 4096
		walk d 65536
		stat d
		walkgone d 600
		ls d
		fill d 80
		walkgone d 32768
		rmdir d`},
	{name: "listing while the directory changes", script: `
		mkdir d 755
		fill d 100
		walkbusy d 300
		walkbusy d 4096
		walkbusy d 32768
		mkdir d/sub 755
		link d/entry-0001 d/another
		symlink x d/l
		inodes d
		inodes d/sub
		inodes .`},
	{name: "holes take no space", script: `
		open a f RW|CREAT
		ftruncate a 1000000
		blocks f
		write a 900000 x
		fsync a
		blocks f
		write a 0 *1000000
		fsync a
		blocks f`},
	{name: "files that are changed past the mount", script: `
		put f text
		open a f R
		put ~/f longer-text
		cat f
		read a 0 30
		tick
		put f other
		cat ~/f
		unlink ~/f
		read a 0 30
		close a
		put g text
		open a g RW
		read a 0 4
		put ~/h another-text
		rename ~/h ~/g
		read a 0 4
		write a 0 TEXT
		fsync a
		read a 0 10
		fstat a
		close a
		cat ~/g
		put d text
		open a d R
		rename ~/d ~/e
		read a 0 10
		chmod ~/e 600
		close a
		cat e`},
	{name: "a file that is open and is removed past the mount", script: `
		owner: put f text
		owner: open a f RW
		owner: unlink ~/f
		owner: write a 4 more
		owner: fsync a
		owner: read a 0 10
		owner: ftruncate a 2
		owner: read a 0 10
		owner: fchmod a 600
		owner: mapread a 0 2
		tick
		owner: read a 0 10
		owner: close a
		put g text
		open a g R
		put ~/g2 new!
		rename ~/g2 ~/g
		read a 0 10
		link ~/g ~/g3
		unlink ~/g
		open b g3 R
		unlink ~/g3
		read b 0 10
		read a 0 10
		close a
		close b`},
	{name: "directories that move past the mount", script: `
		mkdir a 755
		mkdir a/b 755
		put a/b/f text
		open x a/b/f RW
		open y a/b R|DIRECTORY
		rename ~/a ~/z
		read x 0 4
		write x 4 more
		fsync x
		cat z/b/f
		rename ~/z/b ~/y
		cat y/f
		write x 8 again
		fsync x
		cat y/f
		close x
		close y
		ls y`},
	{name: "long symbolic links", script: `
		symlink {1024/50} ~/a
		readlink a
		symlink {1025/50} ~/b
		readlink b
		symlink {4000/50} ~/c
		readlink c
		lstat c
		symlink {1025/50} d`},
	{name: "copies", script: `
		open a f RW|CREAT
		write a 0 *100000
		copyrange f g
		stat g
		cat g`},
	{name: "statfs", script: `
		statfs .`},
	{name: "a directory moves while it is in use", script: `
		mkdir a 755
		mkdir a/b 755
		put a/b/f text
		open x a/b/f RW
		rename a z
		read x 0 10
		write x 4 more
		fsync x
		cat z/b/f
		stat a
		stat z/b/f
		mkdir a 755
		stat a/b
		rename z/b a/b
		cat a/b/f
		stat z
		stat a
		rmdir z
		close x
		ls a/b`},
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

// everybody are the users by their relation to what "owner" owns.
var everybody = []string{"root", "owner", "mate", "guest", "other"}

func modeChecks() []check {
	modes := []int{0, 0o400, 0o200, 0o140, 0o020, 0o010, 0o004, 0o002, 0o466, 0o066, 0o606, 0o750}
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
	for _, mode := range []int{0, 0o777, 0o500, 0o300, 0o600, 0o100, 0o070, 0o053, 0o035, 0o061, 0o707} {
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
	for _, dir := range []string{"777", "2777", "3777", "2770"} {
		for _, mask := range []string{"0", "027", "077"} {
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
