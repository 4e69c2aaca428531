# A drive in memory gives all that a local disk gives.
. $JOB/lib.sh
mkdir /mnt/t && mount -t tmpfs -o mode=755 t /mnt/t
all_of_disk /mnt/t tmpfs
serve mem:
attach /mnt/m
all_of_disk /mnt/m mem
check "unmount" umount /mnt/m
stop
check "the server ends in order" same $ENDED 0
finish
