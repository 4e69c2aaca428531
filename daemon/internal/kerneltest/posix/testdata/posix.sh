# Compares drives with local file systems; see package posix.
set -e
for d in ref served ext4; do mkdir /mnt/$d; done
mount -t tmpfs ref /mnt/ref; mount -t tmpfs served /mnt/served
# A disk in memory: a disk of the host takes 10 ms to sync.
busybox insmod /usr/lib/uml/modules/$(uname -r)/kernel/drivers/block/brd.ko rd_nr=1 rd_size=131072
mkfs.ext4 -q -m 0 /dev/ram0; mount -t ext4 -o barrier=0 /dev/ram0 /mnt/ext4
exec posix
