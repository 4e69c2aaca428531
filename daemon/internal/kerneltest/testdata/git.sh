# A git repository on a web server is a drive.
. $JOB/lib.sh
URL=http://127.0.0.1:8088/repo.git

# 1,026 files and links in 36 folders, two revisions, and names that need care.
repository() {
	git config --global user.name Somebody; git config --global user.email some@body.example
	git config --global init.defaultBranch main; git config --global advice.detachedHead false
	git config --global gc.auto 0
	git init -q /mnt/work; cd /mnt/work
	d=0
	while [ $d -lt 34 ]; do
		mkdir -p pkg/d$d
		i=0
		while [ $i -lt 30 ]; do echo "file $i of $d" >pkg/d$d/f$i.txt; i=$((i + 1)); done
		d=$((d + 1))
	done
	head -c 3000000 /dev/urandom >pkg/large.bin
	printf '#!/bin/sh\necho it ran\n' >run.sh; chmod 755 run.sh
	ln -s pkg/d1/f1.txt link; ln -s ../nowhere pkg/dangling
	: >empty; echo odd >'sp ace "quoted" ünï'
	git add -A; git commit -qm one; git tag v1
	echo changed >pkg/d1/f1.txt; git rm -qr pkg/d2; echo new >new; git add -A; git commit -qm two
	mkdir /mnt/srv; git clone -q --bare . /mnt/srv/repo.git; cd /mnt/srv/repo.git
	git config uploadpack.allowFilter true; git config uploadpack.allowAnySHA1InWant true
}
check "a repository" repository
githttpd 127.0.0.1:8088 /mnt/srv >/tmp/http.out 2>&1 & HTTPD=$!
until_true git ls-remote $URL || { cat /tmp/http.out; exit 1; }

now() { date +%s%N; }
took() { echo "time $(( ($2 - $1) / 1000000 )) ms: $3"; }

a=$(now); git clone -q $URL /mnt/clone; ls /mnt/clone >/dev/null; b=$(now)
took $a $b "git clone and ls"
mkdir /mnt/m
a=$(now); check "moorage mount" moorage mount git+$URL@v1 /mnt/m
ls /mnt/m >/tmp/ls; b=$(now)
took $a $b "moorage mount and ls"

git -C /mnt/clone checkout -q v1
tree() { (cd "$1"; find . -name .git -prune -o -printf '%P %y %s %l\n' | grep -v '^[^ ]* d' | sort; find . -name .git -prune -o -type f -perm -100 -printf '%P\n' | sort); }
same_tree() {
	same "$(tree /mnt/m | cksum)" "$(tree $1 | cksum)"
	diff -r --no-dereference -x .git $1 /mnt/m
}
check "what is there is what a clone of that revision has" same_tree /mnt/clone
runs() { same "$(/mnt/m/run.sh)" "it ran"; same "$(cat /mnt/m/link)" "file 1 of 1"; }
check "programs run, links lead" runs
dates() { [ "$(stat -c %Y /mnt/m/run.sh)" -gt 1500000000 ]; same "$(stat -c %h /mnt/m/empty)" 1; }
check "dates and link counts" dates
keeps_out() {
	fails "Read-only file system" touch /mnt/m/x
	fails "Read-only file system" rm -f /mnt/m/empty
	fails "Read-only file system" sh -c 'echo x >>/mnt/m/empty'
	fails "Read-only file system" mkdir /mnt/m/d
}
check "it cannot be changed" keeps_out
status() { moorage status --json >/tmp/status; grep -q '"state": *"mounted"' /tmp/status; grep -q '"kind": *"git"' /tmp/status; }
check "moorage status" status
others() { fails "Permission denied" as 1000 1000 cat /mnt/m/empty; }
check "nobody else gets in" others

restarted() {
	exec 3</mnt/m/pkg/large.bin
	dd bs=100000 count=1 status=none <&3 >/tmp/large
	kill -KILL $(services)
	drop_caches
	timeout 30 moorage status 3<&- # starts the service
	cat <&3 >>/tmp/large
	exec 3<&-
	cmp /tmp/large /mnt/clone/pkg/large.bin
	same_tree /mnt/clone
}
check "kill -9 of the service: the drive goes on with the next one" restarted
offline() {
	kill -STOP $HTTPD
	drop_caches
	same_tree /mnt/clone
	kill -CONT $HTTPD
}
check "the server does not answer: what was read before is there" offline
check "moorage unmount" moorage unmount /mnt/m --wait
check "the folder is empty again" same "$(ls -A /mnt/m)" ""
latest() {
	moorage mount git+$URL /mnt/m; git -C /mnt/clone checkout -q main
	same_tree /mnt/clone
	moorage unmount /mnt/m --wait
}
check "the branch that is the repository's own" latest
finish
