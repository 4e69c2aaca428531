# A system for guest scripts: two users, the system bus, polkit, and what logind would
# say of sessions. All of it is the host's but the files that are laid over here.

# over DIR: a copy of DIR that can be changed lies over it from now on.
over() {
	mkdir -p "/run/over$1" && cp -a "$1/." "/run/over$1/" && mount --bind "/run/over$1" "$1"
}

# session UID ID ACTIVE: what logind would write of a session on the seat. ACTIVE is 1
# or 0. Session ID "" takes the user's away.
session() {
	if [ -z "$2" ]; then rm -f /run/systemd/users/$1 /run/systemd/sessions/c$1; return; fi
	s=active; [ $3 = 1 ] || s=online
	printf 'UID=%s\nUSER=u%s\nACTIVE=%s\nSTATE=%s\nREMOTE=0\nTYPE=wayland\nCLASS=user\nSEAT=seat0\n' $1 $1 $3 $s >/run/systemd/sessions/.new
	mv /run/systemd/sessions/.new /run/systemd/sessions/$2
	printf 'NAME=u%s\nSTATE=%s\nSTOPPING=no\nDISPLAY=%s\nSESSIONS=%s\nSEATS=seat0\nACTIVE_SESSIONS=%s\n' $1 $s $2 $2 $2 >/run/systemd/users/.new
	mv /run/systemd/users/.new /run/systemd/users/$1
}

# user UID COMMAND...: as a service of that user, such as systemd --user starts them,
# for a minute at most.
user() {
	u=$1; shift
	mkdir -p /sys/fs/cgroup/user.slice/user-$u.slice/user@$u.service
	HOME=/run/home/$u XDG_RUNTIME_DIR=/run/user/$u TMPDIR=/tmp CG=/sys/fs/cgroup/user.slice/user-$u.slice/user@$u.service/cgroup.procs \
		sh -c 'echo $$ >$CG; u=$1; shift; cd $HOME; exec setpriv --reuid $u --regid $u --clear-groups -- timeout -k 5 60 "$@"' sh $u "$@"
}

system() {
	chmod 755 /run /mnt /mnt/job /mnt/bin
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir -p /run/systemd/sessions /run/systemd/users /run/systemd/seats /run/systemd/machines /run/dbus /run/etc
	echo 0123456789abcdef0123456789abcdef >/run/machine-id
	printf 'IS_SEAT0=1\nCAN_MULTI_SESSION=1\nCAN_TTY=1\nCAN_GRAPHICAL=1\n' >/run/systemd/seats/seat0
	for f in passwd group; do cp /etc/$f /run/etc/$f; done
	for u in 6001 6002; do
		echo "u$u:x:$u:$u::/run/home/$u:/bin/sh" >>/run/etc/passwd
		echo "u$u:x:$u:" >>/run/etc/group
		mkdir -p -m 700 /run/home/$u /run/user/$u; chown $u:$u /run/home/$u /run/user/$u
	done
	chmod 755 /run/home /run/user
	for f in passwd group; do mount --bind /run/etc/$f /etc/$f; done
	over /usr/share/dbus-1; over /usr/share/polkit-1
	L=$JOB
	cp $L/org.moorage.MountHelper1.conf /usr/share/dbus-1/system.d/
	sed 's|/usr/libexec/|/mnt/bin/|' $L/org.moorage.MountHelper1.service >/usr/share/dbus-1/system-services/org.moorage.MountHelper1.service
	cp $L/org.moorage.mount.policy /usr/share/polkit-1/actions/
	dbus-daemon --system --nofork --nopidfile --nosyslog >/tmp/bus.log 2>&1 &
	/usr/lib/polkit-1/polkitd --no-debug >/tmp/polkitd.log 2>&1 &
}
