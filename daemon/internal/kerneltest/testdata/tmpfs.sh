mkdir /mnt/t && mount -t tmpfs -o mode=755 t /mnt/t && mkdir /mnt/t/d && time sh $JOB/disk.sh /mnt/t/d
