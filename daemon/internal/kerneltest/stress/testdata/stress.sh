# Loads drives; see package stress.
set -e
mkdir /mnt/local /mnt/disk/served; mount -t tmpfs local /mnt/local
exec stress
