# Runs the test's own binary on file systems of the guest's own; see package apps.
set -e
for d in local gw home; do mkdir /mnt/$d; mount -t tmpfs -o size=90% $d /mnt/$d; done
git config --global user.name Somebody; git config --global user.email some@body.example
git config --global init.defaultBranch main; git config --global gc.auto 0
git config --global --add safe.directory '*'
exec apps
