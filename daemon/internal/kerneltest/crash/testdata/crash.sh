# The service is killed KILLS times for each drive, and started again by whoever looks
# after it, while programs write, read and rename on the drive.
. $JOB/lib.sh
. $JOB/system.sh
system
session 6001 c1 1
export AWS_ACCESS_KEY_ID=moorage-test AWS_SECRET_ACCESS_KEY=moorage-test-secret
LOG=/tmp/service.log
mkdir -p /mnt/disk/folder /mnt/disk/objects/bucket /mnt/disk/meta /run/pub/folder /run/pub/bucket
chmod 755 /run/pub; chown 6001:6001 /mnt/disk/folder /run/pub/folder /run/pub/bucket
$GATEWAY --access $AWS_ACCESS_KEY_ID --secret $AWS_SECRET_ACCESS_KEY --port 127.0.0.1:7480 --region us-east-1 --keep-alive --quiet \
	posix --sidecar /mnt/disk/meta /mnt/disk/objects >/tmp/gateway.log 2>&1 &
GW=$!

# own COMMAND...: becomes it as the user, for as long as it takes.
own() {
	cg=/sys/fs/cgroup/user.slice/user-6001.slice/user@6001.service
	mkdir -p $cg; sh -c 'echo $PPID' >$cg/cgroup.procs; cd /
	HOME=/run/home/6001 XDG_RUNTIME_DIR=/run/user/6001 exec setpriv --reuid 6001 --regid 6001 --clear-groups -- "$@"
}

# supervisor starts the service again whenever it has ended, as systemd does.
supervisor() { while [ ! -e /tmp/over ]; do ( own mooraged --foreground >>$LOG 2>&1 ); done; }

service() { pgrep -u 6001 -x mooraged; }
mount_of() { awk -v at=$1 '$5 == at { print $1, $3 }' /proc/self/mountinfo; }
made() { grep -c 'msg=mounted ' $LOG || true; }
took() { grep -c "took up the mount .*dir=$1" $LOG || true; }
has_taken() { [ "$(took $1)" -gt $2 ]; }

# survives AT: the drive at AT is worked on while the service is killed.
survives() {
	AT=$1 ENOUGH=/tmp/enough.$$; export AT ENOUGH
	rm -f $ENOUGH
	id=$(mount_of $AT) mounts=$(made)
	[ -n "$id" ]
	( own sh -c 'cd $AT && exec sleep 10000' ) & holder=$!
	( own sh $JOB/works.sh names ) >/tmp/names 2>&1 & names=$!
	( own sh $JOB/works.sh verified ) >/tmp/verified 2>&1 & verified=$!
	kills=0
	while [ $kills -lt $KILLS ] && kill -0 $names && kill -0 $verified; do
		before=$(took $AT)
		until_true service
		kill -KILL $(service); kills=$((kills + 1))
		[ $((kills % 4)) != 0 ] || continue # this one is killed before it serves
		until_true has_taken $AT $before
		sleep 0.$(( 2 + kills * 7 % 8 ))
	done
	: >$ENOUGH
	failed=0
	wait $names || failed=1
	wait $verified || failed=1
	cat /tmp/names /tmp/verified >/tmp/worked
	[ $failed = 0 ] || { cat /tmp/worked; tail -20 $LOG; return 1; }
	kill $holder
	same $kills $KILLS
	same "$(mount_of $AT)" "$id"
	same "$(made)" "$mounts"
}

( supervisor ) 2>/dev/null & SUPERVISOR=$!
until_true service
until_true test -S /run/dbus/system_bus_socket
until_true grep -q "$(printf :%04X 7480)" /proc/net/tcp
user 6001 moorage mount /mnt/disk/folder /run/pub/folder --name folder --auto || exit 1
user 6001 moorage mount "s3://bucket?region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A7480" /run/pub/bucket --name bucket --auto || exit 1

# connections are the ports of the service's connections to the store.
connections() { awk '$3 == "0100007F:1D38" && $4 == "01" && $8 == 6001 { print $2 }' /proc/net/tcp; }
others() { for p in $1; do ! connections | grep -q $p || return 1; done; }
# stays EVENT...: connections that nobody uses are dropped after the event, and the drive
# is mounted as before.
stays() {
	user 6001 touch /run/pub/bucket/x; user 6001 moorage sync bucket --wait
	user 6001 rm /run/pub/bucket/x; user 6001 moorage sync bucket --wait
	idle=$(connections) id=$(mount_of /run/pub/bucket)
	[ -n "$idle" ]
	"$@"
	until_true others "$idle"
	user 6001 ls /run/pub/bucket
	same "$(mount_of /run/pub/bucket)" "$id"
}
an_hour_later() { # the clock is all that a computer notices that has slept
	busybox date -s @$(( $(date +%s) + 3600 ))
	until_true grep -q 'this computer has slept' $LOG
}
check "an hour of sleep: idle connections are dropped, and drives stay" stays an_hour_later
check "another network: idle connections are dropped, and drives stay" stays busybox ifconfig lo:1 10.9.9.9

check "a folder: killed $KILLS times" survives /run/pub/folder; cat /tmp/worked
check "a bucket: killed $KILLS times" survives /run/pub/bucket; cat /tmp/worked

# What fio has left is read past the client's cache, and where the drive keeps it.
kept() {
	drop_caches
	[ $1 != bucket ] || user 6001 moorage sync bucket --wait
	for f in $(ls $2/fio); do
		user 6001 cat /run/pub/$1/fio/$f | cmp - $2/fio/$f
	done
	same "$(ls $2)" fio
}
check "what was written to the folder is there" kept folder /mnt/disk/folder
check "what was written to the bucket is there" kept bucket /mnt/disk/objects/bucket
mute() {
	kill -STOP $GW
	echo later >/tmp/later; chmod 644 /tmp/later
	user 6001 cp /tmp/later /run/pub/bucket/later
	clock; began=$NOW
	user 6001 moorage unmount bucket >/tmp/said 2>&1
	clock; echo "unmounted in $(( (NOW - began) / 100 )).$(( (NOW - began) / 10 % 10 )) s" >/tmp/took
	cat /tmp/said
	same "$(mount_of /run/pub/bucket)" ""
	grep -q "not on the remote yet. This computer keeps that" /tmp/said
	kill -CONT $GW
	user 6001 moorage mount bucket
	user 6001 moorage sync bucket --wait
	cmp /tmp/later /mnt/disk/objects/bucket/later
}
check "a store that says nothing holds up no unmount, and gets later what was written" mute; cat /tmp/took
# In the kernel's eyes the folder's mount is stale from now on, and whoever opens it fails.
renewed() {
	rm -r /mnt/disk/folder; mkdir /mnt/disk/folder; chown 6001:6001 /mnt/disk/folder
	drop_caches
	user 6001 ls /run/pub/folder || true
	for i in 1 2 3 4 5; do
		( until_true grep -q 'is made again' $LOG ) && break
	done
	until_true user 6001 touch /run/pub/folder/new
	same "$(ls /mnt/disk/folder)" new
}
[ $KILLS -lt 50 ] || check "a mount that is dead is made again" renewed
: >/tmp/over
kill -TERM $(service); kill $GW
wait $SUPERVISOR $GW
finish || { tail -30 $LOG; cat /tmp/bus.log; exit 1; }
