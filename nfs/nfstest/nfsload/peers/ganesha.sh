# Runs ganesha.nfsd in this mount namespace, with a portmapper that only it can
# reach: the socket is in a private /run, the port in a network of its own.
# Arguments: configuration, pid file, log file.
mount -t tmpfs none /run || exit 1
mkdir -p /run/rpcbind /run/ganesha
unshare --net rpcbind -f &
tries=0
until [ -S /run/rpcbind.sock ] || [ $tries -ge 100 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
exec ganesha.nfsd -F -f "$1" -p "$2" -L "$3"
