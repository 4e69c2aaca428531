# Checks for guest scripts: they are counted, and a failure does not end the script.
passed=0 failed=0 CHECKLOG=/tmp/check.log

# clock sets NOW, in hundredths of a second, without a process.
clock() { read -r NOW _ </proc/uptime; NOW=${NOW%.*}${NOW#*.}; }

# check NAME COMMAND...: COMMAND, often a function, runs in a subshell that ends
# at the first error; beware that sh does not take "a && b" for an error if a
# fails. What it prints is shown when it fails.
check() {
	name=$1; shift
	clock; began=$NOW
	( set -e; "$@" ) >$CHECKLOG 2>&1 </dev/null
	status=$?
	clock; name="$name ($(( (NOW - began) / 100 )).$(( (NOW - began) / 10 % 10 )) s)"
	if [ $status = 0 ]; then
		passed=$((passed + 1)); echo "ok   $name"
	else
		failed=$((failed + 1)); echo "FAIL $name (status $status)"; head -c 2000 $CHECKLOG | sed 's/^/     /'
	fi
}

# fails TEXT COMMAND...: COMMAND fails, and its last message ends with TEXT.
fails() {
	text=$1; shift
	if message=$("$@" 2>&1); then echo "succeeded: $*"; return 1; fi
	case $message in *"$text") ;; *) echo "wanted $text, got: $message"; return 1 ;; esac
}

# services are the processes that are a service, and not what keeps ports for one.
services() { for p in $(busybox pidof mooraged); do tr '\0' ' ' </proc/$p/cmdline | grep -q ' keep ' || echo $p; done; }

# same A B: two texts are equal.
same() { [ "$1" = "$2" ] || { echo "got '$1', want '$2'"; return 1; }; }

# until COMMAND... waits up to 30 s for COMMAND to succeed.
until_true() {
	n=0
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1)); [ $n -lt 300 ] || { echo "in vain: $*"; return 1; }
		sleep 0.1
	done
}

drop_caches() { sync; echo 3 >/proc/sys/vm/drop_caches; }

# as UID GROUPS COMMAND...: as another user, whose group is UID, too.
as() { u=$1 g=$2; shift 2; setpriv --reuid "$u" --regid "$u" --groups "$g" -- "$@"; }

finish() { echo "passed $passed, failed $failed"; [ $failed = 0 ]; }

# serve URL FLAGS...: "moorage serve" in the background; sets SERVER, PORT, EXPORT.
serve() {
	: >/tmp/serve.out
	moorage serve "$@" >/tmp/serve.out 2>/tmp/serve.err &
	SERVER=$!
	until_true grep -q '^{.*}$' /tmp/serve.out || { cat /tmp/serve.err; exit 1; }
	PORT=$(sed -n '1s/.*"address":"127.0.0.1:\([0-9]*\)".*/\1/p' /tmp/serve.out)
	EXPORT=$(sed -n '1s/.*"export":"\([^"]*\)".*/\1/p' /tmp/serve.out)
}

# attach DIR: mounts what serve serves, as anybody could.
attach() {
	mkdir -p "$1" && timeout 30 mount.nfs "127.0.0.1:$EXPORT" "$1" \
		-o "vers=3,proto=tcp,port=$PORT,mountport=$PORT,mountproto=tcp,nolock,noacl,hard,timeo=100,retrans=3" ||
		{ cat /tmp/serve.err; exit 1; }
}

# stop: ends what serve started, in bounded time; ENDED is its status.
stop() {
	kill -TERM $SERVER
	( sleep 10; kill -KILL $SERVER ) 2>/dev/null &
	wait $SERVER
	ENDED=$?
}

# all_of_disk DIR NAME runs disk.sh there and counts its checks as ours.
all_of_disk() {
	mkdir "$1/d"
	sh $JOB/disk.sh "$1/d" 2>&1 | tee /tmp/disk.out | sed -uE "s/^(ok  |FAIL) /\1 $2: /; /^passed/d"
	passed=$((passed + $(grep -c '^ok ' /tmp/disk.out))) failed=$((failed + $(grep -c '^FAIL' /tmp/disk.out)))
	grep -q '^passed' /tmp/disk.out || { echo "FAIL $2: disk.sh did not come to its end"; failed=$((failed + 1)); }
}
