# Moves a mounted drive through the history of a repository; see package revise.
set -e
fail() { echo "FAIL: $*"; tail -20 /mnt/log; exit 1; }
mkdir /mnt/git /mnt/drive /mnt/home
mount -t tmpfs git /mnt/git
mount -t tmpfs -o mode=700 home /mnt/home
git config --global user.name Ann; git config --global user.email ann@example.org
git config --global init.defaultBranch main; git config --global --add safe.directory '*'
export MOORAGE_SOCKET=/mnt/home/socket XDG_CONFIG_HOME=/mnt/home XDG_STATE_HOME=/mnt/home XDG_CACHE_HOME=/mnt/home

# Five states: "n" and "dir/n" differ in each, "dir/same" in none, "only$i" is in one, and
# "swap" is a file in some and a folder in others.
cd /mnt/git
git init -q work
for i in 0 1 2 3 4; do
	cd /mnt/git/work
	rm -rf only* swap
	mkdir -p dir
	echo "state $i" >n
	head -c $((i * 40000 + 10)) /dev/zero | tr '\0' "$i" >dir/n
	echo always >dir/same
	echo x >only$i
	if [ $((i % 2)) = 0 ]; then echo file >swap; else mkdir swap; echo below >swap/below; fi
	git add -A
	at="2026-01-0$((i + 1))T12:00:00Z"
	GIT_AUTHOR_DATE=$at GIT_COMMITTER_DATE=$at git commit -qm "state $i"
	git tag v$i
	mkdir /mnt/git/want$i
	git archive HEAD | tar -C /mnt/git/want$i -xf -
done
cd /

mooraged --foreground 2>/mnt/log &
service=$!
for i in $(seq 100); do moorage service status >/dev/null 2>&1 && break; sleep 0.1; done
moorage add git+file:///mnt/git/work /mnt/drive --name d --auto >/dev/null
moorage mount d >/dev/null || fail "mount"
mounted=$(grep ' /mnt/drive ' /proc/self/mountinfo)

# shows says whether the drive is what state $1 is, for somebody who has looked before.
shows() {
	[ "$(cat /mnt/drive/n)" = "state $1" ] && [ -e /mnt/drive/only$1 ] && diff -r /mnt/drive /mnt/git/want$1 >/mnt/diff 2>&1
}

# to moves the drive to revision $1, and waits until the kernel shows state $2.
to() {
	moorage show d $1 >/dev/null || fail "show $1"
	began=$(cut -d' ' -f1 /proc/uptime)
	for i in $(seq 150); do
		if shows $2; then
			echo "$1 is seen after $(awk "BEGIN { print $(cut -d' ' -f1 /proc/uptime) - $began }") s"
			break
		fi
		[ $i != 150 ] || fail "$1 is not seen: $(cat /mnt/drive/n) $(ls /mnt/drive) $(cat /mnt/diff)"
		sleep 0.1
	done
	[ "$(grep ' /mnt/drive ' /proc/self/mountinfo)" = "$mounted" ] || fail "it was mounted again"
}

shows 4 || fail "at first: $(ls /mnt/drive)"
same=$(stat -c %i /mnt/drive/dir/same)
dir=$(stat -c %i /mnt/drive/dir)
n=$(stat -c %i /mnt/drive/n)
sametime=$(stat -c %y /mnt/drive/dir/same)
cd /mnt/drive/dir # a shell that stands in the drive, and a file that is open
exec 3<n
before=$(stat -c %.9Y /mnt/drive/n)
for s in 1 4 0 3 2; do
	to v$s $s
	[ "$(stat -c %i /mnt/drive/dir/same) $(stat -c %i .) $(stat -c %i /mnt/drive/n)" = "$same $dir $n" ] || fail "other objects: $(stat -c '%n %i' . same ../n)"
	[ "$(stat -c %y same)" = "$sametime" ] || fail "the time of what is the same is $(stat -c %y same), was $sametime"
	now=$(stat -c %.9Y /mnt/drive/n)
	awk "BEGIN { exit !($now > $before) }" || fail "the time of n went from $before to $now"
	before=$now
	cmp n /mnt/git/want$s/dir/n || fail "from the folder where the shell stands"
done
head -c 5 <&3 >/dev/null || fail "the file that was open"
exec 3<&-
cd /
to "--date 2026-01-02" 1
to "--back" 4

# A commit to the branch shows by itself, and away and back again.
to v2 2
echo "state 5" >/mnt/git/work/n
cp -r /mnt/git/want4 /mnt/git/want5; echo "state 5" >/mnt/git/want5/n; cp /mnt/git/want4/only4 /mnt/git/want5/only5
(cd /mnt/git/work && cp only4 only5 && git add -A && git commit -qm "state 5")
sleep 2
shows 2 || fail "a drive that stays has moved"
to "--back" 5

# Beside it, another one; both stay what they are.
beside=$(moorage show d v0 --beside) || fail "beside"
diff -r "$beside" /mnt/git/want0 || fail "beside"
shows 5 || fail "the drive has moved with the one beside"

# A service that is killed comes back with what it showed.
to v3 3
kill -9 $service
mooraged --foreground 2>>/mnt/log &
service=$!
for i in $(seq 300); do moorage service status >/dev/null 2>&1 && break; sleep 0.1; done
shows 3 || fail "after a crash: $(cat /mnt/diff)"
to v1 1
[ "$(stat -c %i /mnt/drive/dir/same)" = "$same" ] || fail "another object after a crash"
kill $service
wait $service || fail "the service ended with $?"
