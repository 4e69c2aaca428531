# The service is killed under a mounted drive, and another one takes over: the
# mount goes on, and so do open files. To be read by a script that has mounted
# the folder /mnt/disk/mounted at /mnt/f.
service() { moorage status >/dev/null 2>&1; busybox pidof mooraged; }

killed() {
	cd /mnt/f
	echo "before" >kept; echo "line" >log; mkdir sub; echo x >sub/file
	exec 3<kept 4>>log 5<sub/file
	drop_caches
	( i=0; while [ $i -lt 200 ]; do echo "entry $i" || echo "lost $i" >&2; i=$((i + 1)); done >>written ) &
	writer=$!
	until_true test -s /mnt/disk/mounted/written
	kill -KILL $(busybox pidof mooraged)
	echo "while it is dead" >&4 &
	sleep 1
	moorage status >/dev/null # starts the service
	wait $writer; wait
	same "$(cat <&3)" before
	same "$(cat <&5)" x
	echo "after" >&4
	same "$(cat log)" "line
while it is dead
after"
	same "$(wc -l <written)" 200
	exec 3<&- 4>&- 5<&-
	echo new >fresh; same "$(cat /mnt/disk/mounted/fresh)" new
	grep -q ' /mnt/f nfs' /proc/mounts
	cd /; rm -r /mnt/f/kept /mnt/f/log /mnt/f/sub /mnt/f/written /mnt/f/fresh
}
check "kill -9 of the service: the drive goes on with the next one" killed
