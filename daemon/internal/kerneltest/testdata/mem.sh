. $JOB/lib.sh
KERNELTEST_SERVE=mem: $BINARY >/tmp/server.out 2>/tmp/server.err &
server=$!
until_true test -s /tmp/server.out || { cat /tmp/server.err; exit 1; }
mkdir /mnt/m
P=20490
mount.nfs 127.0.0.1:/d /mnt/m -o vers=3,proto=tcp,port=$P,mountport=$P,mountproto=tcp,nolock,noacl,hard,timeo=100,retrans=3 || { cat /tmp/server.err; exit 1; }
mkdir /mnt/m/d && time sh $JOB/disk.sh /mnt/m/d
status=$?
umount /mnt/m
cat /tmp/server.err
exit $status
