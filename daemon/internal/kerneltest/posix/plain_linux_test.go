package posix

// plain are checks that are written out.
var plain = []check{
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
