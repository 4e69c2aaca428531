# What the mount helper gives an ordinary user, and what it gives nobody.
. $JOB/lib.sh
. $JOB/system.sh
system
session 6001 c1 1
session 6002 c2 0
DATA=/run/home/6001/data AT=/run/pub/drive
mkdir -m 755 /run/pub; mkdir $DATA $AT; chown 6001:6001 $DATA $AT; chmod 755 $AT
HELPER=/run/moorage-mount-helper

port() { sed -n "s|.* $AT nfs .*[, ]port=\([0-9]*\).*|\1|p" /proc/mounts; }
mounted() { grep -q " $AT nfs " /proc/mounts; }
unmounted() { if mounted; then echo "it is mounted still"; return 1; fi; }

mounts() {
	until_true test -S /run/dbus/system_bus_socket
	user 6001 moorage mount $DATA $AT --name drive
	mounted
	echo hello >/run/greeting; chmod 644 /run/greeting
	user 6001 cp /run/greeting $AT/f
	same "$(user 6001 cat $AT/f)" hello
	same "$(cat $DATA/f)" hello
	same "$(stat -c %u $DATA/f)" 6001
}
check "an ordinary user mounts and uses a drive without a password" mounts
[ $failed = 0 ] || { cat /run/home/6001/.local/state/moorage/*.log /tmp/bus.log /tmp/polkitd.log; finish; exit 1; }

options() {
	grep " $AT nfs " /proc/mounts | grep -q '[ ,]nosuid,nodev,'
}
check "rule 8: nosuid and nodev are forced" options

refused() {
	p=$(port); [ -n "$p" ]
	for u in 6001 6002; do
		fails "Connection refused" user $u busybox nc 127.0.0.1 $p
	done
	! grep -qi "$(printf ':%04X ' $p)" /proc/net/tcp
}
check "rule 2: private listener: nobody can connect to the drive's server" refused

# state STATE ID...: the doctor's checks of these ids are in that state.
state() {
	state=$1; shift
	for id in "$@"; do
		tr -d '\n' </tmp/doctor | tr '{' '\n' | grep "\"id\": *\"$id\"" | grep -q "\"state\": *\"$state\"" || { echo "$id is not $state:"; cat /tmp/doctor; return 1; }
	done
}
# finds UID STATE ID...: so do those that this user's doctor makes.
finds() {
	u=$1; shift
	user $u moorage doctor --json >/tmp/doctor || true # some of it may be bad
	state "$@"
}
doctor() {
	finds 6001 ok service nfs-client rights system-bus mount-helper mount-policy folder-state folder-socket mounts drive:drive drive:drive:mount
	finds 6002 ok service system-bus mount-helper mount-policy
	grep -q "password is asked for" /tmp/doctor
	finds 6002 note keyring
	user 6002 moorage service stop
}
check "the doctor finds the helper, its policy, and that the drive can be read" doctor

# MNT is never called and always refused, even to root where the drive listens: the
# token in the mount table opens nothing.
handles() {
	user 6001 moorage status drive >/tmp/calls
	grep -q GETATTR /tmp/calls
	if grep MNT /tmp/calls; then return 1; fi
	export=$(sed -n "s|^\([^ ]*\) $AT nfs .*|\1|p" /proc/mounts)
	mkdir -p /run/mnt
	fails "" nsenter --net=$HELPER/ns/6001 timeout 20 mount.nfs "$export" /run/mnt \
		-o "vers=3,proto=tcp,port=$(port),mountport=$(port),mountproto=tcp,nolock,retry=0"
	case $message in *"access denied"*) ;; *) echo "$message"; return 1 ;; esac
	user 6001 moorage status drive | grep MNT
}
check "rule 3: the kernel gets the root's handle, and MNT is refused" handles

enter() {
	fails "Permission denied" user 6001 nsenter --net=$HELPER/ns/6001 true
	fails "Permission denied" user 6001 ls $HELPER
	fails "Permission denied" user 6002 ls /proc/$(busybox pidof moorage-mount-helper)/fd
}
check "rule 2: private listener: nobody can enter its namespace" enter

others() {
	for pause in 0 5; do # the attributes are known, and then asked for again
		user 6001 ls -l $AT >/dev/null; user 6001 cat $AT/f >/dev/null
		sleep $pause
		fails "Permission denied" user 6002 ls $AT
		fails "Permission denied" user 6002 cat $AT/f
		fails "Permission denied" user 6002 stat $AT/f
		fails "Permission denied" user 6002 touch $AT/g
		fails "Permission denied" user 6002 busybox find $AT
		fails "Permission denied" user 6002 env -C $AT true
		fails "Permission denied" user 6002 busybox cp $AT/f /tmp/stolen
	done
	same "$(user 6002 stat -c %u $AT)" 6001 # as of any folder
}
check "rule 7: others are denied with a warm cache" others

setuid() {
	cp $(command -v busybox) $DATA/busybox; chown 0:0 $DATA/busybox; chmod 6755 $DATA/busybox
	until_true user 6001 test -x $AT/busybox
	same "$(user 6001 $AT/busybox id -u)" 6001
	fails "Operation not permitted" user 6001 chown 0 $AT/f
}
check "rule 8: a set-uid file does not elevate" setuid

# refuses WORDS DIR: user 6001 may not mount at DIR, for the reason WORDS.
refuses() {
	said=$(user 6001 ask mount "$2") && { echo "mounted at $2"; return 1; }
	case $said in *"$1"*) ;; *) echo "$2: $said"; return 1 ;; esac
	same "$(grep -c ' nfs ' /proc/mounts)" 1 # the drive
}
refusals() {
	mkdir /run/home/6001/real /run/home/6001/real/in; chown 6001:6001 /run/home/6001/real /run/home/6001/real/in
	ln -s /etc /run/home/6001/etc; ln -s real /run/home/6001/link
	echo >/run/home/6001/file; chown 6001 /run/home/6001/file
	refuses "not yours" /etc
	refuses "whole path" /
	refuses "not yours" /run/home
	refuses "symbolic link" /run/home/6001/etc
	refuses "symbolic link" /run/home/6001/link/in
	refuses "not yours" /run/home/6002
	refuses "not yours" /run/home/6002/x
	refuses "no folder" /run/home/6001/file
	refuses "does not exist" /run/home/6001/nowhere
	refuses "whole path" /run/home/6001/../6001/real
	refuses "whole path" real
	refuses "mounted here already" $AT
	user 6001 sleep 50 &
	until_true pgrep -u 6001 -x sleep
	refuses "kind of file system" /proc/$(pgrep -u 6001 -x sleep)/fd
	kill $(pgrep -x sleep)
}
check "rule 8: targets: /etc, symbolic links, foreign folders and odd file systems are refused" refusals

inactive() {
	fails "" user 6002 ask mount /run/home/6002
	case $message in *polkit*) ;; *) echo "$message"; return 1 ;; esac
	mkdir /run/home/6002/data; chown 6002:6002 /run/home/6002/data
	fails "" user 6002 moorage mount /run/home/6002/data --name mine
	case $message in *"administrator"*) ;; *) echo "$message"; return 1 ;; esac
	[ ! -e $HELPER/ns/6002 ]
	same "$(grep -c ' nfs ' /proc/mounts)" 1
}
check "rule 13: polkit: a session that is not in front of the screen is denied" inactive

none() {
	session 6002 ""
	fails "" user 6002 ask mount /run/home/6002
	case $message in *polkit*) ;; *) echo "$message"; return 1 ;; esac
}
check "rule 13: polkit: a user without session is denied" none

foreign() {
	session 6002 c2 1
	fails "" user 6002 ask unmount $AT
	mounted
	user 6002 moorage mount /run/home/6002/data --name mine
	same "$(ls $HELPER/ns | tr '\n' ' ')" "6001 6002 "
	fails "" user 6001 ask unmount /run/home/6002/Moorage/mine
	user 6002 moorage unmount mine --wait
	kill -TERM $(pgrep -u 6002 mooraged)
	until_true sh -c '! pgrep -u 6002 mooraged'
}
check "rule 13: nobody unmounts what others have mounted" foreign

descriptors() {
	fails "org.freedesktop.DBus.Error.AccessDenied" user 6001 ask descriptor -
}
check "rule 13: the bus delivers no descriptors to the helper" descriptors

confined() {
	pid=$(busybox pidof moorage-mount-helper)
	same "$(sed -n 's/^CapEff:[^0-9a-f]*//p' /proc/$pid/status)" 00000000002010c0 # setgid, setuid, net_admin, sys_admin
	same "$(sed -n 's/^CapBnd:[^0-9a-f]*//p' /proc/$pid/status)" 00000000002010c0
	same "$(sed -n 's/^NoNewPrivs:[^0-9]*//p' /proc/$pid/status)" 1
	same "$(stat -c '%a %u' $HELPER)" "700 0"
}
check "rule 13: the helper keeps four capabilities" confined

takeover() {
	p=$(port)
	id=$(grep " $AT nfs " /proc/self/mountinfo | cut -d' ' -f1)
	kill -KILL $(services)
	user 6002 sh -c "exec busybox nc -l -p $p </dev/null >/tmp/squat" & squatter=$!
	until_true grep -qi "$(printf ':%04X ' $p)" /proc/net/tcp /proc/net/tcp6
	echo 3 >/proc/sys/vm/drop_caches
	user 6001 timeout -s KILL 5 cat $AT/f >/tmp/read 2>/dev/null && { echo "read without a service"; return 1; }
	same "$(cat /tmp/read)" ""
	same "$(cat /tmp/squat)" ""
	user 6001 sh -c "cat $AT/f >/tmp/later" & reader=$!
	user 6001 moorage status >/dev/null # starts the service
	wait $reader
	same "$(cat /tmp/later)" hello
	same "$(grep " $AT nfs " /proc/self/mountinfo | cut -d' ' -f1)" "$id"
	same "$(port)" "$p"
	same "$(cat /tmp/squat)" ""
	kill $squatter
}
check "rule 11: kill -9 of the service: who takes the port serves nothing, and the drive goes on" takeover

helperless() {
	pid=$(busybox pidof moorage-mount-helper)
	kill -KILL $pid
	same "$(user 6001 cat $AT/f)" hello # the drive does not need it
	kill -KILL $(services)
	user 6001 moorage status >/dev/null
	same "$(user 6001 cat $AT/f)" hello
	[ "$(busybox pidof moorage-mount-helper)" != $pid ]
}
check "kill -9 of the helper, and of the service: the drive goes on" helperless

# A repository whose trees have names that lead out of the drive, were they believed.
hostile() {
	mkdir /mnt/srv; export HOME=/run/home; git init -q --bare /mnt/srv/evil.git; cd /mnt/srv/evil.git
	git config uploadpack.allowFilter true; git config uploadpack.allowAnySHA1InWant true
	blob=$(echo evil | git hash-object -w --stdin)
	# entry MODE ID NAME: of a tree; printf makes bytes of the id.
	entry() { busybox printf "$1 $3\\000$(echo $2 | sed 's/../\\x&/g')"; }
	branch() { git update-ref refs/heads/$1 $(git -c user.name=x -c user.email=x@y commit-tree -m m $(git hash-object -w -t tree --literally --stdin)); }
	inner=$(entry 100644 $blob passwd | git hash-object -w -t tree --literally --stdin)
	{
		entry 40000 $inner ..; entry 40000 $inner .; entry 100644 $blob .git; entry 100644 $blob 'bad\xff'
		entry 100644 $blob "$(head -c 300 /dev/zero | tr '\0' n)"; entry 40000 $inner fine
	} | branch main
	entry 100644 $blob ../../escaped | branch out
	git symbolic-ref HEAD refs/heads/main
	githttpd 127.0.0.1:8088 /mnt/srv >/tmp/http.out 2>&1 & httpd=$!
	until_true git ls-remote http://127.0.0.1:8088/evil.git
	user 6001 moorage mount git+http://127.0.0.1:8088/evil.git --name evil
	mkdir -m 700 /run/home/6001/into; chown 6001:6001 /run/home/6001/into
	user 6001 cp -r /run/home/6001/Moorage/evil /run/home/6001/into/copy
	same "$(cd /run/home/6001/into; find . | sort | tr '\n' ' ')" ". ./copy ./copy/fine ./copy/fine/passwd "
	user 6001 moorage unmount evil --wait
	fails "" user 6001 moorage mount git+http://127.0.0.1:8088/evil.git@out --name out # no tree of git has such a name
	case $message in *"malformed object"*) ;; *) echo "$message"; return 1 ;; esac
	same "$(find /run /mnt /tmp -name 'escaped*' 2>/dev/null)" ""
	kill $httpd
}
check "rule 10: hostile names of a repository, and cp -r" hostile

unmounts() {
	user 6001 sh -c "exec sleep 100 <$AT/f" & holder=$!
	until_true pgrep -u 6001 -x sleep
	fails "" user 6001 moorage unmount drive
	case $message in *sleep*) ;; *) echo "$message"; return 1 ;; esac
	mounted
	kill $(pgrep -x sleep)
	user 6001 moorage unmount drive --wait
	unmounted
	same "$(ls $HELPER/mounts $HELPER/ns | grep -c '[0-9]')" 0
	! grep -q nsfs /proc/mounts
}
check "the owner unmounts it, and nothing stays" unmounts

forced() {
	user 6001 moorage mount $DATA $AT --name drive
	kill -KILL $(services)
	user 6001 cat $AT/f >/tmp/stuck 2>&1 & stuck=$!
	user 6001 ask unmount $AT
	unmounted
	wait $stuck || true
}
check "a drive without a service is taken away by force" forced
# One of a service that was killed and whose state is gone: no service knows it.
reaped() {
	user 6001 moorage mount $DATA --name dead
	grep -q " /run/home/6001/Moorage/dead nfs " /proc/mounts
	kill -KILL $(pgrep -u 6001 -x mooraged)
	rm -r /run/home/6001/.local/state/moorage
	user 6001 mooraged doctor >/tmp/doctor
	state bad mounts
	user 6001 mooraged doctor --fix >/tmp/doctor
	state ok mounts socket
	if grep -q " /run/home/6001/Moorage/dead " /proc/mounts; then echo "it is mounted still"; return 1; fi
	[ ! -e /run/home/6001/Moorage/dead ]
}
check "the doctor takes away a mount that nobody serves" reaped

policies() {
	mv /usr/share/polkit-1/actions/org.moorage.mount.policy /tmp/
	until_true finds 6001 bad mount-policy
	mv /tmp/org.moorage.mount.policy /usr/share/polkit-1/actions/
	until_true finds 6001 ok mount-policy
}
check "the doctor finds that polkit does not know the helper's action" policies

# A service that stands still.
stand() { user 6001 moorage mount $DATA $AT --name drive; mounted; user 6001 mooraged look $AT; kill -STOP $(pgrep -u 6001 -x mooraged); }
goes_on() {
	kill -CONT $(pgrep -u 6001 -x mooraged)
	until_true not_listed # it saw in the mount table that the drive is gone
}
not_listed() { ! user 6001 moorage status | grep -q drive; }
unused() {
	stand
	same "$(user 6001 moorage unmount drive 2>/dev/null)" "drive is unmounted"
	unmounted
	goes_on
}
check "the service stands still: a drive that nobody uses is unmounted" unused

used() {
	user 6001 moorage mount $DATA $AT --name drive
	user 6001 sh -c "exec sleep 100 <$AT/f" & holder=$!
	until_true pgrep -u 6001 -x sleep
	kill -STOP $(pgrep -u 6001 -x mooraged)
	fails "moorage unmount drive --force" user 6001 moorage unmount $AT
	case $message in *sleep*"does not answer"*) ;; *) echo "$message"; return 1 ;; esac
	mounted
	user 6001 moorage unmount $AT --force
	unmounted
	kill $(pgrep -x sleep)
	goes_on
}
check "the service stands still: who uses the drive is named, and it goes by force" used

waited() {
	stand
	echo 3 >/proc/sys/vm/drop_caches
	user 6001 ls -l $AT/f >/tmp/stuck 2>&1 & stuck=$!
	until_true pgrep -u 6001 -x ls
	user 6001 timeout -s KILL 2 mooraged look $AT && return 1 # which is how the service looks at its mounts
	! pgrep -fx "mooraged look $AT"
	user 6001 moorage unmount drive
	unmounted
	wait $stuck || true
	goes_on
}
check "the service stands still: nobody hangs in a drive that was unmounted" waited

# Where the helper is no service, pkexec runs it; polkit is told here that u6001 may.
uninstall() {
	rm /usr/share/dbus-1/system-services/org.moorage.MountHelper1.service
	busybox killall -HUP dbus-daemon
	kill $(busybox pidof moorage-mount-helper)
	over /etc/polkit-1
	mkdir -p /etc/polkit-1/rules.d; chmod 755 /etc/polkit-1/rules.d
	cat >/etc/polkit-1/rules.d/49-u6001.rules <<'END'
polkit.addRule(function(action, subject) {
	if (action.id == "org.freedesktop.policykit.exec" && subject.user == "u6001") return polkit.Result.YES;
});
END
	kill $(busybox pidof polkitd)
	/usr/lib/polkit-1/polkitd --no-debug >>/tmp/polkitd.log 2>&1 &
}
pkexecs() {
	uninstall
	for p in $(pgrep mooraged); do kill -TERM $p; done
	until_true sh -c '! pgrep mooraged'
	finds 6001 bad mount-helper
	user 6001 moorage mount $DATA $AT --name pk
	mounted
	same "$(user 6001 cat $AT/f)" hello
	grep " $AT nfs " /proc/mounts | grep -q '[ ,]nosuid,nodev,'
	same "$(ls $HELPER/ns)" ""
	user 6001 moorage unmount pk --wait
	unmounted
	same "$(ls $HELPER/mounts)" ""
	fails "" user 6002 moorage mount /run/home/6002/data --name theirs
	case $message in *"mount helper"*"not installed"*) ;; *) echo "$message"; return 1 ;; esac
}
check "without the helper's service: pkexec, or one clear sentence" pkexecs
peers() {
	user 6001 moorage mount $DATA $AT --name peer
	p=$(port)
	# A NULL call.
	printf '\200\0\0\050MOOR\0\0\0\0\0\0\0\2\0\1\206\243\0\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' >/tmp/call
	unanswered() {
		user "$@" </tmp/call >/tmp/reply 2>/dev/null || true
		same "$(wc -c </tmp/reply)" 0
	}
	unanswered 6002 busybox nc 127.0.0.1 $p
	unanswered 6001 busybox nc 127.0.0.1 $p
	unanswered 6002 unshare --user --map-root-user busybox nc 127.0.0.1 $p
	echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
	unanswered 6002 busybox nc -p 700 127.0.0.1 $p
	echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start
	same "$(grep -c "refused a connection" /run/home/6001/.local/state/moorage/mooraged.log)" 4
	same "$(user 6001 cat $AT/f)" hello
	user 6001 moorage unmount peer --wait
}
check "rule 6: a drive on the common loopback answers the kernel's client alone" peers
kept() {
	user 6001 moorage mount $DATA $AT --name kept
	p=$(port)
	kill -KILL $(pgrep -u 6001 -x mooraged)
	until_true sh -c '! pgrep -u 6001 -x mooraged'
	echo 3 >/proc/sys/vm/drop_caches
	user 6001 cat $AT/f >/tmp/kept & reader=$!
	fails "in use" user 6002 busybox timeout 2 busybox nc -l -p $p
	user 6001 moorage status
	wait $reader
	same "$(cat /tmp/kept)" hello
	user 6001 moorage unmount kept --wait
	unmounted
}
check "rule 11: without the helper: nobody can take the port of a service that was killed" kept
busless() {
	busybox killall dbus-daemon
	finds 6001 bad system-bus
}
check "the doctor finds that there is no system bus" busless
finish || { cat /tmp/bus.log /tmp/polkitd.log; exit 1; }
