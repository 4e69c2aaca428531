package mounter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

const enableRemedy = "In a PowerShell of the administrator: Enable-WindowsOptionalFeature -Online " +
	"-FeatureName ServicesForNFS-ClientOnly,ClientForNFS-Infrastructure -NoRestart. Windows Home does not have it."

func systemDir() string {
	d, err := windows.GetSystemDirectory()
	if err != nil {
		return `C:\Windows\System32`
	}
	return d
}

func commandEnv() []string {
	root := strings.TrimSuffix(systemDir(), `\System32`)
	return []string{"SystemRoot=" + root, "PATH=" + systemDir()}
}

func commandDir() string { return systemDir() }

// detach keeps a console window from flashing up.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true, CreationFlags: windows.CREATE_NO_WINDOW}
}

func hasClient() bool {
	_, err := os.Stat(systemDir() + `\mount.exe`)
	return err == nil
}

func (m *Mounter) mount(ctx context.Context, s Spec) error {
	if !isDriveLetter(s.Dir) {
		return dirError(s.Dir, "On Windows a drive is mounted on a letter.", `Give a free one, such as "X:".`, nil)
	}
	used, err := windows.GetLogicalDrives()
	if err != nil {
		return fmt.Errorf("list drive letters: %w", err)
	}
	if used&(1<<((s.Dir[0]|0x20)-'a')) != 0 {
		return dirError(s.Dir, "The drive letter is taken.", "Choose another one.", syscall.EBUSY)
	}
	if !hasClient() {
		return &Error{Op: "mount", Dir: s.Dir, Kind: ErrUnsupported, What: "Windows' Client for NFS is not turned on.", Do: enableRemedy}
	}
	c := windowsMount(systemDir(), s)
	said, status, err := m.run(ctx, c)
	if err == nil && status == 0 {
		return nil
	}
	if err != nil {
		if used, lerr := windows.GetLogicalDrives(); lerr == nil && used&(1<<((s.Dir[0]|0x20)-'a')) != 0 {
			return errors.Join(err, m.discard(s.Dir))
		}
		return err
	}
	return &Error{Op: "mount", Dir: s.Dir, Kind: ErrRefused, Err: saidError(c, said, status),
		What: fmt.Sprintf("Windows could not mount %s.", windowsShare(s)),
		Do:   "See that nothing else answers on port 111 of this computer, then try again."}
}

func (m *Mounter) discard(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), forceTimeout)
	defer cancel()
	c := windowsUnmount(systemDir(), dir, true)
	said, status, err := m.run(ctx, c)
	if err == nil && status != 0 {
		err = saidError(c, said, status)
	}
	return err
}

func (m *Mounter) unmount(ctx context.Context, dir string, force bool) error {
	all, err := m.List(ctx)
	if err != nil {
		return err
	}
	there := false
	for _, mt := range all {
		there = there || strings.EqualFold(mt.Dir, dir)
	}
	if !there {
		return notMounted(dir)
	}
	steps := []command{windowsUnmount(systemDir(), dir, false)}
	if force {
		steps = []command{windowsUnmount(systemDir(), dir, true), windowsNetUse(systemDir(), dir)}
	}
	var failed error
	for _, c := range steps {
		var said string
		var status int
		err := bounded(ctx, unmountTimeout, func(ctx context.Context) error {
			var err error
			said, status, err = m.run(ctx, c)
			return err
		})
		if err == nil && status == 0 {
			return nil
		}
		if err == nil {
			err = saidError(c, said, status)
		}
		failed = errors.Join(failed, err)
	}
	if errors.Is(failed, context.DeadlineExceeded) || errors.Is(failed, context.Canceled) {
		return failed
	}
	return &Error{Op: "unmount", Dir: dir, Kind: ErrBusy, What: "Windows did not let the drive go; files of it may be open.",
		Do: "Close them, or force it.", Err: failed}
}

// Of winnetwk.h and wnnc.h.
const (
	resourceConnected = 1
	resourceTypeDisk  = 1
	netTypeMSNFS      = 0x00420000
)

// netResource is NETRESOURCEW.
type netResource struct {
	scope, kind, display, usage            uint32
	localName, remoteName, comment, vendor *uint16
}

// listMounts asks the network providers which connections they hold. Neither does
// that touch a server, as mount.exe without arguments may.
func listMounts() ([]Mount, error) {
	mpr := windows.NewLazySystemDLL("mpr.dll")
	name := make([]uint16, 256)
	size := uint32(len(name))
	if r, _, _ := mpr.NewProc("WNetGetProviderNameW").Call(netTypeMSNFS, uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(&size))); r != 0 {
		return nil, nil // the client is not installed: no NFS mounts
	}
	provider := windows.UTF16ToString(name)

	var h windows.Handle
	if r, _, _ := mpr.NewProc("WNetOpenEnumW").Call(resourceConnected, resourceTypeDisk, 0, 0, uintptr(unsafe.Pointer(&h))); r != 0 {
		return nil, fmt.Errorf("WNetOpenEnum: %w", syscall.Errno(r))
	}
	defer mpr.NewProc("WNetCloseEnum").Call(uintptr(h))
	enum := mpr.NewProc("WNetEnumResourceW")
	var all []Mount
	// Of pointers, so that it is aligned; the strings follow the structures.
	buf := make([]uintptr, 16<<10/unsafe.Sizeof(uintptr(0)))
	for {
		count := ^uint32(0)
		bytes := uint32(len(buf)) * uint32(unsafe.Sizeof(buf[0]))
		r, _, _ := enum.Call(uintptr(h), uintptr(unsafe.Pointer(&count)), uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&bytes)))
		switch syscall.Errno(r) {
		case 0:
		case windows.ERROR_NO_MORE_ITEMS:
			return all, nil
		default:
			return nil, fmt.Errorf("WNetEnumResource: %w", syscall.Errno(r))
		}
		for _, nr := range unsafe.Slice((*netResource)(unsafe.Pointer(&buf[0])), count) {
			if nr.localName == nil || nr.remoteName == nil || windows.UTF16PtrToString(nr.vendor) != provider {
				continue
			}
			src, export := windowsSource(windows.UTF16PtrToString(nr.remoteName))
			all = append(all, Mount{Source: src, Export: export, Dir: windows.UTF16PtrToString(nr.localName)})
		}
	}
}

func probe(context.Context) []Check {
	c := Check{Name: "nfs client", OK: true, Detail: "Client for NFS is turned on."}
	if !hasClient() {
		c.OK, c.Detail, c.Remedy = false, "Client for NFS is not turned on.", enableRemedy
	}
	return []Check{c}
}
