# All that a local disk gives: "disk.sh DIR" runs the same checks in an empty
# directory of any file system. On tmpfs all of them hold, so they must on a drive.
. $JOB/lib.sh
D=$1
OTHERS=${OTHERS:-too} # "none": only the superuser gets at the files; "only": nothing but checks of others
FILES=${FILES:-10000} # in one folder
cd "$D" || exit 1
S=/tmp/sample # made once, on tmpfs

sample() {
	rm -rf $S; mkdir -p $S/sub/deep $S/empty; cd $S
	i=0
	while [ $i -lt 60 ]; do echo "line $i of a file" >sub/f$i; i=$((i + 1)); done
	head -c 300000 /dev/urandom >sub/deep/blob
	: >nothing
	printf 'no newline' >"a name with spaces"
	printf '#!/bin/sh\necho ran\n' >run.sh; chmod 755 run.sh
	chmod 400 sub/f1; chmod 4755 sub/f2; chmod 1777 empty
	ln -s sub/f0 link; ln -s /nonexistent dangling; ln sub/f3 hard
	touch -d '2001-02-03 04:05:06 UTC' sub/f4 sub
	chown 1000:1001 sub/f5
	mkfifo pipe
}

origin() {
	git config --global user.name Somebody; git config --global user.email some@body.example
	git config --global init.defaultBranch main; git config --global --add safe.directory '*'
	git config --global gc.auto 0; git config --global advice.detachedHead false
	git init -q /tmp/work; cd /tmp/work
	cp -a $S/sub $S/run.sh $S/link .; git add -A; git commit -qm one
	echo more >>sub/f0; git commit -qam two
	git clone -q --bare . /tmp/origin.git
}

git_clone() {
	git clone -q /tmp/origin.git clone; cd clone
	git fsck --full --strict 2>&1
	same "$(git status --porcelain)" ""
	echo change >>sub/f9; echo new >added; git add added; git commit -qam three
	git checkout -q -b side HEAD~2; git checkout -q main
	git gc -q; drop_caches; git fsck --full --strict
	same "$(git log --format=%s | tr '\n' ' ')" "three two one "
	same "$(git status --porcelain)" ""
}

tar_both() {
	tar -C $S -cf - . | { mkdir tar; tar -C tar -xpf -; }
	drop_caches
	tar -C $S -cf - . | tar -C tar -df -
	tar -C tar -cf - . | { mkdir /tmp/back; tar -C /tmp/back -xpf -; }
	tar -C $S -cf - . | tar -C /tmp/back -df -
	rm -rf /tmp/back
}

rsync_both() {
	rsync -aH $S/ rs/
	drop_caches
	same "$(rsync -aHnic --delete $S/ rs/)" ""
	echo changed >>$S/sub/f7; touch -r $S/sub/f8 $S/sub/f7
	same "$(rsync -aHic $S/ rs/ | cut -c1-3)" ">fc"
	same "$(rsync -aHnic --delete rs/ $S/)" ""
}

cp_diff() {
	cp -a $S cp
	drop_caches
	diff -r --no-dereference -x pipe $S cp
	same "$(cd cp; find . -printf '%P %M %s %n %U:%G %l %Ts\n' | grep -v '^[^ ]* d' | sort)" \
		"$(cd $S; find . -printf '%P %M %s %n %U:%G %l %Ts\n' | grep -v '^[^ ]* d' | sort)"
	cp -a cp cp2; diff -r --no-dereference -x pipe cp cp2
}

database() {
	rm -f db.sqlite*
	sqlite3 db.sqlite "pragma journal_mode=$1; pragma synchronous=full;
		create table t(id integer primary key, v text); create index i on t(v);
		insert into t(v) select hex(randomblob(50)) from (with recursive c(x) as (select 1 union all select x+1 from c where x<3000) select x from c);
		begin; update t set v = v || 'x' where id % 3 = 0; delete from t where id % 7 = 0; commit;
		begin; delete from t; rollback;" >/dev/null
	drop_caches
	same "$(sqlite3 db.sqlite 'pragma integrity_check; select count(*) from t; select count(*) from t where v like "%x"')" "ok
2572
858"
	rm -f db.sqlite*
}

open_renamed() {
	echo first >o1; exec 3<>o1; mv o1 o2; echo second >&3
	same "$(cat o2)" second
	exec 3>&-
	echo kept >o3; exec 4<o3; mv o3 other.$$; same "$(cat <&4)" kept; exec 4<&-
	echo old >o4; echo new >o5; exec 4<o4; mv o5 o4
	same "$(cat <&4)" old; same "$(cat o4)" new
	rm o2 o4 other.$$
}

open_removed() {
	echo "still here" >u1; exec 3<u1 4>>u1; rm u1
	[ ! -e u1 ]
	echo "and more" >&4
	same "$(cat <&3)" "still here
and more"
	echo fresh >u1; same "$(cat u1)" fresh
	exec 3<&- 4>&-; rm u1
	mkdir u2; : >u2/f; exec 3>u2/f; rm u2/f; echo x >&3; exec 3>&-; rmdir u2
}

sparse() {
	truncate -s 5G big
	same "$(stat -c %s big)" 5368709120
	same "$(du -k big | cut -f1)" 0
	printf tail | dd of=big bs=1 seek=5368709116 conv=notrunc status=none
	printf here | dd of=big bs=1M seek=4000 conv=notrunc status=none
	drop_caches
	same "$(stat -c %s big)" 5368709120
	same "$(tail -c 4 big)" tail
	same "$(dd if=big bs=1M skip=4000 count=1 status=none | head -c 4)" here
	same "$(dd if=big bs=1M skip=2500 count=2 status=none | tr -d '\0' | wc -c)" 0
	[ "$(du -k big | cut -f1)" -le 64 ]
	truncate -s 3 big; same "$(stat -c '%s %b' big | tr -d '[1-9]')" " 0"; rm big
}

many() {
	mkdir many; cd many
	i=0
	while [ $i -lt $FILES ]; do : >f$i; i=$((i + 1)); done
	drop_caches
	same "$(ls -U | wc -l)" $FILES
	same "$(ls -f | sort -u | wc -l)" $((FILES + 2))
	same "$(find . -type f -name 'f*' | wc -l)" $FILES
	rm -r ../many
	[ ! -e ../many ]
}

names() {
	n=$(printf '%0255d' 7)
	echo long >$n; same "$(cat $n)" long; same "$(ls | grep -c "^$n\$")" 1
	mkdir -p l; mv $n l/; same "$(ls l)" $n
	fails "File name too long" touch x$n
	fails "File name too long" mkdir x$n
	for f in "sp ace" "$(printf 'new\nline')" 'back\slash' "quo'te\"" '*?[' -dash .hidden "ünï" "$(printf '\377\200')"; do
		echo "$f" >"./$f"; same "$(cat "./$f")" "$f"; rm -- "$f"
	done
	rm -r l
}

execute() {
	printf '#!/bin/sh\necho it ran\n' >x; chmod 700 x
	same "$(./x)" "it ran"
	chmod 600 x; fails "Permission denied" ./x
	cp /bin/true t; chmod 711 t; ./t
	[ $OTHERS = none ] || as 1000 1000 sh -c ./t
	chmod 700 t; fails "Permission denied" as 1000 1000 sh -c ./t # setpriv itself still has capabilities
	rm x t
}

symlinks() {
	mkdir sl; echo data >sl/f; ln -s sl/f s1; ln -s "$D/sl" s2; ln -s nowhere s3; ln -s s4 s4
	same "$(cat s1)$(cat s2/f)" datadata
	same "$(readlink s1 s3)" "sl/f
nowhere"
	fails "No such file or directory" cat s3
	fails "Too many levels of symbolic links" cat s4
	ln -sfn f s1; same "$(readlink s1)" f
	touch -h -d @1000000000 s3; same "$(stat -c %Y s3)" 1000000000
	chown -h 5:6 s3; same "$(stat -c %u:%g s3)" 5:6
	rm s1 s2 s3 s4; rm -r sl
}

hardlinks() {
	echo a >h1; ln h1 h2; mkdir hd; ln h1 hd/h3
	same "$(stat -c %h h2)" 3
	same "$(stat -c %i h1)" "$(stat -c %i hd/h3)"
	echo b >>h2; same "$(cat hd/h3)" "a
b"
	fails "are the same file" mv h1 h2
	rm -f h1; same "$(cat h2)" "a
b"
	fails "hard link not allowed for directory" ln hd hd2
	rm -r h2 hd
}

timestamps() {
	: >t1; touch -d '2001-02-03 04:05:06.789012345 UTC' t1
	same "$(stat -c '%.9X %.9Y' t1)" "981173106.789012345 981173106.789012345"
	touch -a -d @5 t1; same "$(stat -c '%X %Y' t1)" "5 981173106"
	touch -m -d @6 t1; same "$(stat -c '%X %Y' t1)" "5 6"
	touch -d '2038-01-19 04:00:00 UTC' t1; same "$(stat -c %Y t1)" 2147486400
	b=$(date +%s); touch t1; [ "$(stat -c %Y t1)" -ge $((b - 2)) ]
	c=$(stat -c %.9Z t1); sleep 0.05; chmod 600 t1; [ "$(stat -c %.9Z t1)" != "$c" ]
	mkdir td; touch -d @7 td; : >td/f; [ "$(stat -c %Y td)" -ge $((b - 2)) ]
	touch -d @8 td; rm td/f; [ "$(stat -c %Y td)" -ge $((b - 2)) ]
	rm -r t1 td
}

shut() {
	mkdir p; echo secret >p/f; chmod 666 p/f; chmod 777 p
	fails "Permission denied" as 1000 1000 cat p/f
	fails "Permission denied" as 1000 1000 ls p
	fails "Permission denied" as 1000 1000 touch p/new
	fails "Permission denied" as 1000 1000 rm -f p/f
	same "$(cat p/f)" secret; rm -r p
}

permissions() {
	mkdir p; chmod 755 p; cd p
	echo secret >f; chmod 000 f
	same "$(cat f)" secret; echo more >>f
	fails "Permission denied" as 1000 1000 cat f
	chown 1000:2000 f; chmod 640 f
	same "$(as 1000 1000 head -1 f)$(as 1001 2000 head -1 f)" secretsecret
	fails "Permission denied" as 1001 1001,1002 cat f
	fails "Permission denied" as 1001 2000 dd of=f conv=notrunc count=0 status=none
	fails "Operation not permitted" as 1001 2000 chmod 777 f
	fails "Operation not permitted" as 1000 1000 chown 1001 f
	as 1000 1000,3000 chgrp 3000 f; same "$(stat -c %g f)" 3000
	fails "Permission denied" as 1000 1000 touch new
	fails "Permission denied" as 1000 1000 rm -f f
	chmod 4755 f; as 1000 1000 sh -c 'echo x >>f'; same "$(stat -c %a f)" 755
	chmod 111 .; fails "Permission denied" as 1000 1000 ls .; as 1000 1000 stat f; chmod 444 .
	fails "Permission denied" as 1000 1000 stat f
	cd ..; rm -r p
}

sticky() {
	mkdir st; chmod 1777 st; as 1000 1000 touch st/mine
	fails "Operation not permitted" as 1001 1001 rm -f st/mine
	fails "Operation not permitted" as 1001 1001 mv st/mine st/yours
	as 1000 1000 rm st/mine
	mkdir sg; chown 0:4000 sg; chmod 2777 sg
	as 1000 1000 sh -c 'umask 022; touch sg/f; mkdir sg/d'
	same "$(stat -c '%a %u %g' sg/f) $(stat -c '%a %u %g' sg/d)" "644 1000 4000 2755 1000 4000"
	rm -r st sg
}

owner_open() {
	mkdir oo; chown 1000 oo
	as 1000 1000 sh -ec 'cd oo; echo a >f; exec 3>>f 4<f; chmod 000 f; echo b >&3; cat <&4; chmod 600 f; cat f' >/tmp/oo
	same "$(cat /tmp/oo)" "a
b
a
b"
	as 1000 1000 sh -ec 'cd oo; umask 777; echo data >locked; umask 22; chmod 400 locked; cat locked' >/tmp/oo
	same "$(cat /tmp/oo)" data
	rm -r oo
}

special() {
	mkfifo fifo; { echo through >fifo & }; same "$(cat fifo)" through; wait
	mknod null c 1 3; same "$(stat -c '%F %t,%T' null)" "character special file 1,3"
	mknod blk b 7 200; same "$(stat -c '%F %t,%T' blk)" "block special file 7,c8"
	mkdir -m 777 open
	if [ $OTHERS = none ]; then # a drive is mounted with nodev
		fails "Permission denied" cat null
		fails "Permission denied" as 1000 1000 mknod open/dev c 1 3
	else
		echo x >null; same "$(cat null)" ""
		fails "Operation not permitted" as 1000 1000 mknod open/dev c 1 3
	fi
	rm -r fifo null blk open
}

folders() {
	mkdir -p a/b/c/d/e; : >a/b/f
	fails "Directory not empty" rmdir a/b
	fails "Is a directory" unlink a
	fails "Not a directory" rmdir a/b/f
	fails "File exists" mkdir a
	fails "to a subdirectory of itself, 'a/b/a'" mv a a/b
	mkdir e1 e2; : >e2/x; fails "Directory not empty" mv -T e1 e2
	mv -T e2 e1; same "$(ls e1)" x; [ ! -e e2 ]
	same "$(stat -c %h a/b)" 3
	mv a/b/c e1/; same "$(stat -c %h a/b) $(stat -c %h e1)" "2 3"
	same "$(cd e1/c/..; ls | tr '\n' ' ')" "c x "
	rm -r a e1
}

data() {
	head -c 20000000 /dev/urandom >/tmp/random
	cp /tmp/random r1; drop_caches; cmp /tmp/random r1
	dd if=/tmp/random of=r2 bs=7777 status=none; drop_caches; cmp /tmp/random r2
	printf XYZ | dd of=r2 bs=1 seek=12345678 conv=notrunc status=none; truncate -s 15000001 r2
	printf XYZ | dd of=/tmp/random bs=1 seek=12345678 conv=notrunc status=none; truncate -s 15000001 /tmp/random
	drop_caches; cmp /tmp/random r2
	echo end >>r2; same "$(stat -c %s r2)" 15000005
	( i=0; while [ $i -lt 200 ]; do echo one >>ap; i=$((i + 1)); done ) &
	i=0; while [ $i -lt 200 ]; do echo two >>ap; i=$((i + 1)); done
	wait
	same "$(sort ap | uniq -c | tr -s ' \n' ' ')" " 200 one 200 two "
	fails "File exists" sh -c 'set -C; : >ap'
	rm r1 r2 ap /tmp/random
}

space() {
	df -k . | tail -1 | { read -r _ total _ free _; [ "$total" -gt 1000 ]; [ "$free" -gt 1000 ]; }
	df -i . | tail -1 | { read -r _ total _ free _; [ "$total" -gt 1000 ]; [ "$free" -gt 1000 ]; }
}

leave() { cd "$D"; rm -rf clone tar rs cp cp2; same "$(ls -A)" ""; }

if [ ! -d $S ]; then
	check "what is copied" sample
	check "what is cloned" origin
fi
if [ $OTHERS != only ]; then
	check "git: clone, fsck, commit, checkout, gc" git_clone
	check "tar: out and back, compared" tar_both
	check "rsync -c: there and nothing left to do" rsync_both
	check "cp -a and diff -r" cp_diff
	check "sqlite: rollback journal" database delete
	check "sqlite: truncated journal" database truncate
	check "sqlite: write-ahead log" database wal
	check "a file that is open is renamed and renamed over" open_renamed
	check "a file that is open is removed" open_removed
	check "5 GiB of hole: size, du, data at the end" sparse
	check "$FILES files in one folder" many
	check "names: 255 bytes, odd bytes" names
	check "symbolic links" symlinks
	check "hard links" hardlinks
	check "times" timestamps
	check "folders: mkdir, rmdir, mv" folders
	check "data: large, odd sizes, overwritten, appended" data
	check "df" space
fi
check "programs run, and do not without the bit" execute
check "pipes and devices" special
if [ $OTHERS = none ]; then
	check "nobody else gets in" shut
else
	check "permissions of root and others" permissions
	check "sticky and setgid folders" sticky
	check "an open file stays usable whatever its mode" owner_open
fi
check "everything can be removed, nothing else is left" leave
finish
