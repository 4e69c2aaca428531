# The service is killed under a mounted drive, and another one takes over: the
# mount goes on, and so do open files. To be read by a script that has mounted
# the folder /mnt/disk/mounted at /mnt/f.

# holder keeps files open all the time. It starts no process while the service
# is dead: NFS writes back at every close, and a process that ends closes what
# it inherited.
holder() {
	exec 3<kept 4>>log 5<sub/file 6<>both
	echo ready >/tmp/ready
	read -r _ </tmp/dead
	echo "while it is dead" >&4
	echo "on both" >&6
	read -r _ </tmp/alive
	same "$(cat <&3)" before
	same "$(cat <&5)" x
	echo "after" >&4
	exec 4>&- 6>&-
	same "$(cat log)" "line
while it is dead
after"
	same "$(cat both)" "on both"
}

killed() {
	cd /mnt/f
	echo before >kept; echo line >log; mkdir sub; echo x >sub/file; : >both
	mkfifo /tmp/ready /tmp/dead /tmp/alive
	( set -e; holder ) & holder=$!
	read -r _ </tmp/ready
	( i=0; while [ $i -lt 200 ]; do echo "entry $i"; i=$((i + 1)); done >>written ) & writer=$!
	drop_caches
	kill -KILL $(services)
	echo >/tmp/dead
	sleep 1
	timeout 30 moorage status # starts the service
	echo >/tmp/alive
	wait $holder
	wait $writer
	same "$(wc -l <written)" 200
	echo new >fresh; same "$(cat /mnt/disk/mounted/fresh)" new
	grep -q ' /mnt/f nfs' /proc/mounts
	cd /; rm -r /mnt/f/kept /mnt/f/log /mnt/f/sub /mnt/f/written /mnt/f/fresh /mnt/f/both
}
check "kill -9 of the service: the drive goes on with the next one" killed
