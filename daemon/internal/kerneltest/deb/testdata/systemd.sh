# Makes a system of the guest, with systemd as its first process: the host's file
# system with a layer in memory over it. The first process reads this. What runs is
# what the test is about, and what that asks for: nothing that the host starts.
R=/mnt/root
busybox insmod $M/fs/overlayfs/overlay.ko
mkdir -p /mnt/over/upper /mnt/over/work $R
mount -t tmpfs -o size=80% over /mnt/over && mkdir /mnt/over/upper /mnt/over/work
mount -t overlay -o lowerdir=/,upperdir=/mnt/over/upper,workdir=/mnt/over/work overlay $R || busybox poweroff -f
for d in /tmp /var/tmp /var/lib/nfs; do mount -t tmpfs -o mode=1777 tmp $R$d; done
mkdir -p $R/mnt/job $R/mnt/bin $R/mnt/host
mount --bind /mnt/job $R/mnt/job; mount --bind /mnt/bin $R/mnt/bin

echo 0123456789abcdef0123456789abcdef >$R/etc/machine-id
: >$R/etc/fstab
rm -rf $R/etc/systemd/system/*.wants $R/etc/systemd/user/*.wants $R/usr/lib/systemd/system/*.wants
rm -f $R/var/lib/dpkg/lock* $R/usr/sbin/policy-rc.d
cat >$R/etc/systemd/system/job.service <<'END'
[Service]
ExecStart=sh -c '. /mnt/job/env; sh "/mnt/job/$$SCRIPT" >/mnt/job/out 2>&1; echo $$? >/mnt/job/status.new; mv /mnt/job/status.new /mnt/job/status; sync; exec busybox poweroff -f'
Environment=PATH=/mnt/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root JOB=/mnt/job LC_ALL=C
END
cat >$R/etc/systemd/system/job.target <<'END'
[Unit]
Wants=systemd-journald.socket dbus.socket dbus.service systemd-logind.service job.service
END
cd $R
umount /sys /proc /run /dev/shm /dev 2>/dev/null
busybox pivot_root . mnt/host
exec busybox chroot . /lib/systemd/systemd --unit=job.target --log-target=null </dev/null >/dev/null 2>&1
