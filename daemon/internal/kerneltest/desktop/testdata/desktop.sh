# The tests of app/cmd/moorage-desktop, with a kernel that can mount. Nothing of them
# may be left out here, but for what measures: a guest's clock is not its own.
export MOORAGE_PROGRAMS=/mnt/bin CI=true PATH=$PATH:$(dirname $GATEWAY)
cd /tmp
exec moorage-desktop.test -test.v -test.run TestDesktop -test.skip /idle -test.artifacts -test.outputdir $JOB/keep
