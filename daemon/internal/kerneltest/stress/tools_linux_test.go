package stress

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fio writes patterns with checksums in several ways at the same time, and reads
// them again: at once, and when the client's cache is gone.
func (l load) fio(dir string) error {
	limit := time.Duration(l.pick(60, 1200)) * time.Second
	env := []string{"DIR=" + dir, fmt.Sprintf("SIZE=%dk", l.pick(512, 16384))}
	args := append(env, "fio", "/mnt/job/verify.fio")
	if _, err := command(limit, "env", args...); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		return err
	}
	_, err := command(limit, "env", append(args, "--verify_only")...)
	return err
}

// dbench is the load of a file server's clients.
func (l load) dbench(dir string) error {
	seconds := l.pick(4, 60)
	out, err := command(time.Duration(seconds)*5*time.Second, "dbench", "-D", dir, "-c", "/usr/share/dbench/client.txt",
		"-t", strconv.Itoa(seconds), strconv.Itoa(l.pick(4, 8)))
	if err == nil && !strings.Contains(out, "Throughput") {
		err = errors.New("dbench came to no result:\n" + out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "Throughput") {
			fmt.Print("     ", line)
		}
	}
	return err
}

// stressors are those of stress-ng's class "filesystem" that a file system of
// NFSv3 can run, and some that map or copy files. They run at the same time.
// Not among them are
//
//	bind-mount, binderfs, procfs  need a file system of their own
//	eventfd, ioprio               have to do with no file system
//	fiemap, verity, xattr         NFSv3 has no such call: stress-ng skips them
//	fpunch, inode-flags, lease    as these, but stress-ng takes each error for good
//	fsize                         wants fallocate(2) at byte limits; NFSv3 has none,
//	                              and stress-ng's own one writes whole blocks
var stressors = []string{"access", "chattr", "chdir", "chmod", "chown", "copy-file", "dentry", "dir", "dirdeep", "dirmany", "dnotify",
	"dup", "fallocate", "fcntl", "file-ioctl", "filename", "flock", "fstat", "getdent", "handle", "hdd", "inotify", "io",
	"iomix", "locka", "lockf", "lockofd", "mknod", "open", "rename", "sync-file", "touch", "utime",
	"mmap", "readahead", "seek", "sendfile", "splice"}

// alone are those that disturb others. fanotify opens every file that anybody
// touches: a file that is removed then keeps a name on NFS until the event is
// read, and rmdir of its directory fails.
var alone = []string{"fanotify"}

// slow make and remove 8,192 names before they look at the time.
var slow = []string{"link", "symlink"}

// stressors runs stress-ng. Each stressor ends after some work, or when the time
// is over.
func (l load) stressors(dir string) error {
	seconds := l.pick(4, 300)
	err := stress(dir, seconds, l.pick(5, 5000), stressors)
	one := alone
	if l.long {
		one = slices.Concat(alone, slow)
	}
	for _, s := range one {
		err = errors.Join(err, stress(dir, 30, l.pick(10, 20), []string{s}))
	}
	return err
}

func stress(dir string, seconds, ops int, names []string) error {
	args := []string{"--temp-path", dir, "--verify", "--timeout", strconv.Itoa(seconds), "--dentries", "100", "--dirdeep-inodes", "500", "--chdir-dirs", "64",
		"--hdd-bytes", "4M", "--fallocate-bytes", "4M", "--iomix-bytes", "4M", "--readahead-bytes", "4M", "--seek-size", "4M",
		"--sync-file-bytes", "4M", "--mmap-bytes", "4M", "--mmap-file"}
	for _, s := range names {
		args = append(args, "--"+s, "1", "--"+s+"-ops", strconv.Itoa(ops))
	}
	out, err := command(time.Duration(seconds*2+60)*time.Second, "stress-ng", args...)
	for line := range strings.Lines(out) {
		if (strings.Contains(line, "fail:") || strings.Contains(line, "skip")) && !strings.Contains(line, lateRemoval) {
			err = errors.Join(err, errors.New(strings.TrimSpace(line)))
		}
	}
	return err
}

// lateRemoval is in what a stressor says when it has removed a file while the
// client still reads ahead in it: the file keeps a name for a moment, and rmdir
// of its directory fails. That it can be removed in the end is seen to here.
const lateRemoval = "failed, errno=39 (Directory not empty)"
