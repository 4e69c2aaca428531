# The service under a real systemd user manager: it is started at login, with the
# drives that are to be mounted then, and again after it was killed.
. $JOB/lib.sh

export XDG_RUNTIME_DIR=/run/user/0 XDG_CONFIG_HOME= XDG_CACHE_HOME= XDG_STATE_HOME=
unset XDG_CONFIG_HOME XDG_CACHE_HOME XDG_STATE_HOME
mkdir -p -m 700 $XDG_RUNTIME_DIR
mkdir -p /run/systemd/system # so that it looks like a system of systemd
mount -t cgroup2 cgroup2 /sys/fs/cgroup || { echo "no cgroup2"; exit 1; }

# login starts the user manager, as pam_systemd does; logout ends it.
login() {
	/lib/systemd/systemd --user --log-target=console >>/tmp/manager.log 2>&1 &
	echo $! >/tmp/manager
	until_true [ -S $XDG_RUNTIME_DIR/systemd/private ] || { cat /tmp/manager.log; exit 1; }
}
logout() { systemctl --user exit; until_true ended "$(cat /tmp/manager)"; }
ended() { ! kill -0 "$1" || grep -q 'State:.Z' "/proc/$1/status"; }
up() { [ "$(moorage status --json | jq_states)" = "$1" ]; }
# jq_states: the states of all drives, in the order of their names.
jq_states() { tr '{' '\n' | sed -n 's/.*"name":"\([^"]*\)".*"state":"\([^"]*\)".*/\1=\2/p' | sort | tr '\n' ' '; }
main_pid() { systemctl --user show --property=MainPID --value moorage.service; }
elapsed() { clock; echo "$(( (NOW - began) / 100 )).$(( (NOW - began) / 10 % 10 )) s"; }

mkdir -p /mnt/folder /mnt/f /mnt/m /mnt/a && echo hello >/mnt/folder/file

unit_is_right() {
	moorage service install
	same "$(systemd-analyze --user verify ~/.config/systemd/user/moorage.service 2>&1)" ""
	same "$(systemctl --user is-enabled moorage.service)" enabled
	moorage service status | grep -q "started at login, by systemd"
	same "$(main_pid)" "$(services)"
}

takes_over() {
	moorage service uninstall
	moorage service stop
	same "$(services)" ""
	moorage add /mnt/folder /mnt/f --auto --name folder
	moorage mount folder # starts one that systemd knows nothing of
	by_hand=$(services)
	exec 3</mnt/f/file
	moorage service install
	same "$(cat <&3)" hello
	same "$(main_pid)" "$(services)"
	[ "$(main_pid)" != "$by_hand" ]
	grep -q ' /mnt/f nfs' /proc/mounts
}

again_after_kill() {
	exec 3</mnt/f/file
	old=$(main_pid) kept=$(keepers)
	clock; began=$NOW
	kill -KILL "$old"
	until_true moorage_answers_anew
	echo "back after $(elapsed)" >/tmp/back
	same "$(cat <&3)" hello
	same "$(keepers)" "$kept"
}
keepers() { pgrep -f "exe keep "; }
moorage_answers_anew() { p=$(main_pid); [ "$p" != 0 ] && [ "$p" != "$old" ] && same "$(cat /mnt/f/file)" hello; }

restarts() {
	exec 3</mnt/f/file
	old=$(main_pid)
	moorage service restart
	moorage_answers_anew
	same "$(cat <&3)" hello
}

at_login() {
	logout
	kill $(keepers) # it would end soon, and is not of the next login
	same "$(services)" ""
	if grep " nfs " /proc/mounts; then return 1; fi
	clock; began=$NOW
	login
	until_true grep -q ' /mnt/f nfs' /proc/mounts
	until_true grep -q ' /mnt/m nfs' /proc/mounts
	echo "mounted $(elapsed) after login" >/tmp/back
	same "$(cat /mnt/f/file)" hello
	echo x >/mnt/m/x
	moorage status | grep away
}

kept_apart() {
	old=$(main_pid) kept=$(keepers)
	grep moorage-keeper /proc/$kept/cgroup
	kill -KILL "$old"
	until_true moorage_answers_anew
	same "$(keepers)" "$kept" # systemd ends what is in the service's unit
}

stops() {
	moorage service stop
	same "$(systemctl --user show --property=ActiveState,SubState,NRestarts moorage.service | tr '\n' ' ')" "NRestarts=0 ActiveState=inactive SubState=dead "
	moorage service start
	same "$(main_pid)" "$(services)"
}

mended() {
	moorage service uninstall
	moorage doctor --fix >/tmp/doctor || true # a remote is away
	grep "start at login: .* from now on" /tmp/doctor
	same "$(systemctl --user is-enabled moorage.service)" enabled
}

login
check "install: a unit that systemd likes, enabled and started" unit_is_right
check "install takes over from a service started by hand, and its drives" takes_over
check "killed, it is back and the drive goes on" again_after_kill; cat /tmp/back
check "restarted, as after an update, under an open file" restarts
moorage add mem: /mnt/m --auto --name memory
moorage add http://127.0.0.1:9/away.git /mnt/a --auto --name away
check "at login all drives are there, though one remote is away" at_login; cat /tmp/back
check "what is told to end stays so until it is started" stops
check "killed again: what keeps the ports is a unit of its own" kept_apart
check "the doctor has it started at login" mended
moorage service stop
logout
finish || { moorage status; tail -20 /tmp/manager.log; exit 1; }
