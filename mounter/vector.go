package mounter

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/moorage/moorage/mounter/internal/linuxnfs"
)

// attrCache is how long, in seconds, a client may answer from attributes that it
// has already. The server is on this computer and answers in microseconds, so
// one second costs nothing that is felt, and changes show at once.
const attrCache = 1

// maxExport is MNTPATHLEN of RFC 1813, Appendix I.
const maxExport = 1024

// validate tells what in s no system could use.
func (s Spec) validate() error {
	a, err := netip.ParseAddr(s.Address)
	if err != nil || !a.Is4() || !a.IsLoopback() {
		return fmt.Errorf("mount %s: address %q is not a numeric IPv4 loopback address", s.Dir, s.Address)
	}
	if s.Port == 0 {
		return fmt.Errorf("mount %s: no port", s.Dir)
	}
	if !strings.HasPrefix(s.Export, "/") || len(s.Export) > maxExport {
		return fmt.Errorf("mount %s: the export does not begin with a slash or is longer than %d bytes", s.Dir, maxExport)
	}
	for _, r := range s.Export {
		if r < ' ' || r == 0x7f {
			return fmt.Errorf("mount %s: the export has a control character", s.Dir)
		}
	}
	if len(s.Root) > linuxnfs.MaxRoot {
		return fmt.Errorf("mount %s: a root handle of %d bytes, NFSv3 allows %d", s.Dir, len(s.Root), linuxnfs.MaxRoot)
	}
	return nil
}

func (s Spec) source() string { return s.Address + ":" + s.Export }

// command is a program of the system with its arguments.
type command struct {
	path string
	args []string
	in   []byte // its standard input
	hide string // of its arguments, what must not be told: an export's path, which is a drive's token
}

// linuxOptions are the options that the Linux kernel reads itself, nfs(5). With
// port, mountport and nolock given, nobody asks a portmapper.
//
// A writable drive is hard: a soft one drops written pages when the server is
// away for long. A read-only drive is soft, it has nothing to lose: a read fails
// after 10+20+30+40 s without an answer instead of waiting for ever.
func linuxOptions(s Spec) string {
	how := "hard"
	if s.ReadOnly {
		how = "soft"
	}
	return fmt.Sprintf("vers=3,proto=tcp,port=%d,mountvers=3,mountproto=tcp,mountport=%d,nolock,noacl,noresvport,%s,timeo=100,retrans=3,actimeo=%d",
		s.Port, s.Port, how, attrCache)
}

// linuxKernelOptions are the options for mount(2) without mount.nfs, which would
// have added the resolved addresses.
func linuxKernelOptions(s Spec) string {
	return linuxOptions(s) + ",addr=" + s.Address + ",mountaddr=" + s.Address
}

// linuxData is what the kernel is told when the root handle is known.
func linuxData(s Spec) linuxnfs.Data {
	return linuxnfs.Data{Addr: netip.AddrPortFrom(netip.MustParseAddr(s.Address), s.Port), Root: s.Root, Soft: s.ReadOnly, AttrCache: attrCache}
}

// linuxMountNFS runs mount.nfs: one try, and no entry in a mount table of its
// own, since the mount is taken away by system call.
func linuxMountNFS(path string, s Spec) command {
	ro := "rw"
	if s.ReadOnly {
		ro = "ro"
	}
	return command{path: path, args: []string{s.source(), s.Dir, "-n", "-o", "nosuid,nodev," + ro + ",retry=0," + linuxOptions(s)}, hide: s.Export}
}

// darwinMountNFS runs mount_nfs(8). locallocks, not nolocks: programs that lock
// must not fail. mutejukebox: a server that says "later" is not one that is gone.
// deadtimeout takes a dead writable mount away before the Finder is stuck on it;
// a soft, read-only one has that by itself.
func darwinMountNFS(s Spec) command {
	how := "hard,deadtimeout=45"
	if s.ReadOnly {
		how = "soft,rdonly"
	}
	opts := fmt.Sprintf("vers=3,tcp,port=%d,mountport=%d,locallocks,intr,mutejukebox,rsize=1048576,wsize=1048576,readahead=16,nonegnamecache,actimeo=%d,nosuid,nodev,%s",
		s.Port, s.Port, attrCache, how)
	return command{path: "/sbin/mount_nfs", args: []string{"-o", opts, s.source(), s.Dir}, hide: s.Export}
}

// darwinForceUnmount asks the disk arbitration of macOS, which may do what an
// ordinary user's unmount(2) may not.
func darwinForceUnmount(dir string) command {
	return command{path: "/usr/sbin/diskutil", args: []string{"unmount", "force", dir}}
}

// windowsMount runs mount.exe of Client for NFS. It has no port option: the
// server answers a portmapper on port 111 of its address. Sizes are in KiB,
// timeout in seconds.
func windowsMount(system string, s Spec) command {
	return command{path: system + `\mount.exe`, args: []string{
		"-o", "anon,nolock,mtype=soft,timeout=60,retry=3,rsize=32,wsize=32,fileaccess=777",
		windowsShare(s), s.Dir,
	}, hide: strings.ReplaceAll(s.Export, "/", `\`)}
}

// windowsShare is the export as a UNC path.
func windowsShare(s Spec) string {
	return `\\` + s.Address + strings.ReplaceAll(s.Export, "/", `\`)
}

func windowsUnmount(system, dir string, force bool) command {
	if force {
		return command{path: system + `\umount.exe`, args: []string{"-f", dir}}
	}
	return command{path: system + `\umount.exe`, args: []string{dir}}
}

// windowsNetUse is the last resort: it forgets the drive letter.
func windowsNetUse(system, dir string) command {
	return command{path: system + `\net.exe`, args: []string{"use", dir, "/delete", "/y"}}
}

// windowsSource turns a UNC path into the form that the other systems have:
// `\\127.0.0.1\a\b` is "127.0.0.1:/a/b".
func windowsSource(share string) (source, export string) {
	host, path, _ := strings.Cut(strings.TrimLeft(share, `\`), `\`)
	export = "/" + strings.ReplaceAll(path, `\`, "/")
	return host + ":" + export, export
}

// isDriveLetter reports whether dir is a drive letter with its colon.
func isDriveLetter(dir string) bool {
	return len(dir) == 2 && dir[1] == ':' && (dir[0] >= 'A' && dir[0] <= 'Z' || dir[0] >= 'a' && dir[0] <= 'z')
}
