# A folder: served with identities as they come, and mounted for its owner.
. $JOB/lib.sh
mkdir /mnt/disk/served /mnt/disk/mounted
serve /mnt/disk/served
attach /mnt/m
export OTHERS=only
all_of_disk /mnt/m served
check "unmount" umount /mnt/m
stop
check "the server ends in order" same $ENDED 0

mkdir /mnt/f
check "moorage mount" moorage mount /mnt/disk/mounted /mnt/f
export OTHERS=none
all_of_disk /mnt/f mounted

# What goes on beside the drive shows on it, and the other way round.
beside() {
	echo one >/mnt/f/through; same "$(cat /mnt/disk/mounted/through)" one
	echo two >/mnt/disk/mounted/direct; until_true test -e /mnt/f/direct; same "$(cat /mnt/f/direct)" two
	rm /mnt/f/direct; [ ! -e /mnt/disk/mounted/direct ]
}
check "the folder itself shows the same" beside
. $JOB/crash.sh
check "moorage unmount" moorage unmount /mnt/f --wait
check "nothing is mounted any more" fails "" mountpoint -q /mnt/f
finish
