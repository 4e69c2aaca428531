# A folder, served with identities as they come and mounted for its owner.
. $JOB/lib.sh
mkdir /mnt/disk/served
serve /mnt/disk/served
attach /mnt/m
all_of_disk /mnt/m served
check "unmount" umount /mnt/m
stop
check "the server ends in order" same $ENDED 0
finish
