# The life of the package on a system with systemd, the system bus, polkit and logind,
# and a user whose session is in front of the screen.
. $JOB/lib.sh
umount -l /mnt/host
echo 'alice:*:6001:6001::/home/alice:/bin/sh' >>/etc/passwd; echo 'alice:x:6001:' >>/etc/group
mkdir -p /home/alice/data /home/alice/drive /home/alice/bucket /home/alice/.aws
printf '[default]\naws_access_key_id = moorage-test\naws_secret_access_key = moorage-test-secret\nregion = us-east-1\n' >/home/alice/.aws/credentials
chown -R 6001:6001 /home/alice
# dpkg reads all that it knows each time: here it knows what the package depends on.
awk 'BEGIN { RS = ""; ORS = "\n\n" } /^Package: (nfs-common|dbus|default-dbus-system-bus|dbus-system-bus|polkitd|libc6|lib(gl1|egl1|wayland-[a-z]*[01]|xkbcommon0|x11-6|xcursor1|xext6|xi6|xinerama1|xrandr2|xrender1|xxf86vm1))\n/' /var/lib/dpkg/status >/tmp/status
mv /tmp/status /var/lib/dpkg/status
AT=/home/alice/drive STATE=/home/alice/.local/state/moorage UNITS=/home/alice/.config/systemd/user
LINK=$UNITS/default.target.wants/moorage.service
HELPER=moorage-mount-helper.service

alice() {
	setpriv --reuid 6001 --regid 6001 --clear-groups env -i PATH=$PATH HOME=/home/alice USER=alice LC_ALL=C XDG_RUNTIME_DIR=/run/user/6001 "$@"
}
# package ACTION...: what dpkg says is in /tmp/said. Triggers are those of other packages.
package() { timeout 100 dpkg --force-unsafe-io --no-triggers "$@" >/tmp/said 2>&1 || { cat /tmp/said; return 1; }; }
version() { dpkg-query -W -f '${db:Status-Status} ${Version}' moorage; }
pid() { alice systemctl --user show --property=MainPID --value moorage.service; }
program() { readlink /proc/$1/exe; }
mount_of() { grep " $1 .* nfs " /proc/self/mountinfo | cut -d' ' -f1; }

# The session is as a display manager makes it.
login() {
	cat >/run/systemd/system/session.service <<'END'
[Service]
User=alice
PAMName=login
Environment=XDG_SEAT=seat0 XDG_SESSION_TYPE=wayland XDG_SESSION_CLASS=user
ExecStart=sleep infinity
END
	systemctl daemon-reload
	systemctl start systemd-logind.service session.service
	until_true test -S /run/user/6001/systemd/private
	id=$(loginctl show-user alice --property=Display --value)
	loginctl activate $id
	until_true sh -c "loginctl show-session $id | grep -qx Active=yes"
}
check "a user logs in" login

files() {
	package -i $JOB/moorage_0.1.0.deb
	same "$(cat /tmp/said | grep -ci warn)" 0
	same "$(dpkg -V moorage)" ""
	dpkg -L moorage | grep -vx /. | xargs stat -c '%n %F %a %u:%g' >/tmp/files
	grep -q '^/usr/bin/moorage regular file 755 0:0$' /tmp/files
	same "$(grep -v ' directory 755 0:0$' /tmp/files | grep -v '^/usr/\(bin\|libexec\)/[^/]* regular file 755 0:0$' | grep -v '^/usr/.* regular file 644 0:0$')" ""
	moorage --version | grep -q '^moorage [^ ]* go'
	mooraged --version | grep -q '^mooraged '
	desktop-file-validate /usr/share/applications/org.moorage.Moorage.desktop
	ls /usr/share/icons/hicolor/256x256/apps/org.moorage.Moorage.png /usr/share/icons/hicolor/scalable/apps/org.moorage.Moorage.svg
	ls /usr/share/man/man1/moorage.1.gz /usr/share/man/man1/moorage-desktop.1.gz /usr/share/man/man8/mooraged.8.gz /usr/share/man/man8/moorage-mount-helper.8.gz
}
check "installed: files, owners, modes, versions" files

units() {
	same "$(systemd-analyze verify /usr/lib/systemd/system/$HELPER 2>&1)" ""
	same "$(alice systemd-analyze --user verify /usr/lib/systemd/user/moorage.service 2>&1)" ""
}
check "systemd has nothing to say of the units" units

mounts() {
	alice moorage service install
	alice moorage add /home/alice/data $AT --name drive --auto
	alice moorage mount drive
	mount_of $AT | grep -q .
	echo hello >/tmp/hello
	alice cp /tmp/hello $AT/hello
	same "$(cat /home/alice/data/hello)" hello
	same "$(program $(systemctl show --property=MainPID --value $HELPER))" /usr/libexec/moorage-mount-helper
	same "$(program $(pid))" /usr/bin/mooraged
	grep " $AT " /proc/self/mountinfo | grep -q '[ ,]nosuid,nodev,'
	alice moorage unmount drive --wait
	same "$(mount_of $AT)" ""
	alice moorage mount drive
	same "$(cat /proc/$(systemctl show --property=MainPID --value $HELPER)/status | sed -n 's/^Seccomp:[^0-9]*//p')" 2
}
check "a drive is mounted without a password: the helper works in its unit's sandbox" mounts
[ $failed = 0 ] || { journalctl --no-pager | tail -40; cat $STATE/*.log; finish; exit 1; }

# It leaves the processor to what it is about.
alice nice -n 19 load $AT /tmp/load >/tmp/load.said 2>&1 &
until_true test -s /tmp/load
rounds() { wc -l </tmp/load; }
# works: the load goes on, by five rounds from now at least.
works() {
	want=$(( $(rounds) + 5 ))
	until_true more_than $want || { cat /tmp/load.said; return 1; }
}
more_than() { [ "$(rounds)" -gt $1 ]; }

# taken_over: another process is the service, from the file that is there, and systemd
# watches over it; the mount is the same one.
taken_over() {
	[ "$(pid)" != "$old" ]
	same "$(pid)" "$(pgrep -x mooraged)"
	same "$(program $(pid))" /usr/bin/mooraged
	same "$(mount_of $AT)" "$id"
	works
}
update() {
	works
	old=$(pid) id=$(mount_of $AT) helper=$(systemctl show --property=MainPID --value $HELPER)
	package -i $JOB/moorage_0.2.0.deb
	same "$(version)" "installed 0.2.0"
	taken_over
	[ "$(systemctl show --property=MainPID --value $HELPER)" != "$helper" ]
	same "$(alice systemctl --user show --property=NRestarts,ActiveState moorage.service | tr '\n' ' ')" "NRestarts=0 ActiveState=active "
}
check "an update under a program that writes and reads" update; tail -1 /tmp/load

killed() {
	old=$(pid) id=$(mount_of $AT)
	kill -KILL $old
	until_true another
	taken_over
}
another() { [ "$(pid)" != 0 ] && [ "$(pid)" != "$old" ]; }
check "systemd starts the new one again after it was killed" killed

broken() {
	old=$(pid) id=$(mount_of $AT)
	cp /usr/bin/mooraged /usr/bin/mooraged.works # by which the command line asks the old one
	package -i $JOB/moorage_0.3.0.deb
	grep -q "did not start.*this version is broken" /tmp/said || { cat /tmp/said; return 1; }
	same "$(version)" "installed 0.3.0"
	same "$(pid)" "$old"
	same "$(mount_of $AT)" "$id"
	alice moorage service status | grep -q "did not start"
	works
}
check "an update that is broken: the old service goes on" broken

# Now nothing but the broken program is there, and systemd gives up on it.
mended() {
	rm /usr/bin/mooraged.works
	old=$(pid) id=$(mount_of $AT)
	alice mkdir -p $UNITS/moorage.service.d
	printf '[Unit]\nStartLimitBurst=2\n' >$UNITS/moorage.service.d/once.conf
	alice systemctl --user daemon-reload
	kill -KILL $old
	until_true sh -c "$(command -v setpriv) --reuid 6001 --clear-groups env XDG_RUNTIME_DIR=/run/user/6001 systemctl --user is-failed moorage.service"
	package -i $JOB/moorage_0.2.0.deb
	taken_over
	rm -r $UNITS/moorage.service.d
	alice systemctl --user daemon-reload
}
check "it ends and cannot be started; an update that works brings the drive back" mended

# The program hangs when it is started, until that is over.
halfway() {
	old=$(pid) id=$(mount_of $AT)
	mv /usr/bin/mooraged /usr/bin/mooraged.works
	printf '#!/bin/sh\n[ ! -e /tmp/hang ] || exec sleep 1001\nexec $0.works "$@"\n' >/usr/bin/mooraged; chmod 755 /usr/bin/mooraged
	: >/tmp/hang
	alice mooraged.works service restart >/tmp/said 2>&1 & asks=$!
	until_true pgrep -f 'sleep 1001'
	rm /tmp/hang
	kill -KILL $old
	wait $asks || { cat /tmp/said; return 1; }
	until_true another
	works
	same "$(pgrep -f 'sleep 1001')" ""
	same "$(mount_of $AT)" "$id"
	mv /usr/bin/mooraged.works /usr/bin/mooraged
	old=$(pid)
	kill -KILL $old
	until_true another
	taken_over
}
check "the old one is killed while the new one starts: systemd starts one" halfway

load_ends() {
	works
	kill -TERM $(pgrep -x load)
	until_true sh -c '! pgrep -x load'
	same "$(cat /tmp/load.said)" ""
}
check "the program has seen no error in all this" load_ends; tail -1 /tmp/load

# gateway: an S3 server whose objects are files.
gateway() {
	mkdir -p /srv/s3/objects/box /srv/s3/meta
	$GATEWAY --access moorage-test --secret moorage-test-secret --port 127.0.0.1:7480 --region us-east-1 --quiet \
		posix --sidecar /srv/s3/meta /srv/s3/objects >/tmp/gateway.log 2>&1 &
	gateway=$!
	until_true grep -q ':1D38 .* 0A ' /proc/net/tcp || { cat /tmp/gateway.log; return 1; }
}
pending() {
	gateway
	alice moorage add 's3://box?endpoint=http://127.0.0.1:7480' /home/alice/bucket --name bucket --auto
	alice moorage mount bucket
	alice cp /tmp/hello /home/alice/bucket/first
	alice moorage sync bucket --wait
	same "$(cat /srv/s3/objects/box/first)" hello
	kill $gateway
	alice cp /tmp/hello /home/alice/bucket/later
}
# app: the desktop starts the app at login, which finds the service.
app() {
	alice mkdir -p /home/alice/.config/autostart
	printf '[Desktop Entry]\nType=Application\nName=Moorage\nExec="/usr/bin/moorage-desktop" --hidden\n' | alice tee /home/alice/.config/autostart/moorage.desktop
	# It would begin anew when xdotool, its only client so far, goes, and turn away who comes meanwhile.
	Xvfb -displayfd 3 -noreset -screen 0 1000x720x24 -nolisten tcp -ac 3>/tmp/display >/tmp/xvfb 2>&1 &
	until_true test -s /tmp/display || { cat /tmp/xvfb; return 1; }
	display=:$(cat /tmp/display)
	alice DISPLAY=$display LIBGL_ALWAYS_SOFTWARE=1 moorage-desktop >/tmp/app 2>&1 &
	until_true env DISPLAY=$display xdotool search --onlyvisible --name '^Moorage$' || { cat /tmp/xvfb /tmp/app; return 1; }
	same "$(pid)" "$(services)"
}
check "the app opens its window" app

remove() {
	pending
	pgrep -x moorage-desktop
	alice sh -c "exec sleep 1000 <$AT/hello" &
	package -r moorage
	cat /tmp/said
	grep "alice" /tmp/said | grep -q "yet: 1\. .*$STATE"
	same "$(grep -c ' nfs ' /proc/mounts)" 0
	same "$(pgrep -x mooraged; pgrep -f moorage-mount-helper; pgrep -x moorage-desktop)" ""
	[ ! -e /usr/bin/moorage ]
	[ -L $LINK ]
	[ -e /home/alice/.config/autostart/moorage.desktop ]
	kill $(pgrep -x sleep -u 6001 | tail -1) || true
}
check "removed: drives are unmounted, and it is said where what was not published is" remove

purge() {
	find /home/alice | sort | grep -v "default.target.wants\|moorage.desktop" >/tmp/before
	package -P moorage
	find /home/alice | sort | grep -v default.target.wants | diff /tmp/before -
	[ ! -L $LINK ]
	same "$(sed -n 's/ regular file .*//p' /tmp/files | xargs ls 2>/dev/null)" ""
	same "$(ls -d /run/moorage* /usr/share/doc/moorage /var/lib/dpkg/info/moorage* 2>/dev/null)" ""
	fails "" dpkg-query -W moorage
}
check "purged: nothing of the package is left, and all of the person's" purge

again() {
	gateway
	package -i $JOB/moorage_0.2.0.deb
	alice moorage service install
	until_true alice moorage sync bucket --wait
	same "$(cat /srv/s3/objects/box/later)" hello
	same "$(cat $AT/hello)" hello
}
check "installed again: the drives are back, and what waited is published" again
finish || { umount -fla -t nfs; cat /tmp/said; journalctl --no-pager | tail -30; tail -30 $STATE/*.log; exit 1; }
