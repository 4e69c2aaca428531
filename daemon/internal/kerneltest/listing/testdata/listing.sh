# Lists a folder of a slow remote; see package listing.
set -e
mkdir /mnt/drive
exec listing
