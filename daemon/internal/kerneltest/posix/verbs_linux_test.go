package posix

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// verb is what a step does. An error that is an errno is a result, any other
// one means that the script is wrong.
type verb func(m *machine, a []string) (string, error)

// on makes a verb of a call that takes one path and numbers behind it.
func on(call func(p string, n []int) error) verb {
	return func(m *machine, a []string) (string, error) {
		n, err := numbers(a[1:], 8)
		if err != nil {
			return "", err
		}
		return "ok", call(m.path(a[0]), n)
	}
}

// onFile is on for an open file.
func onFile(base int, call func(fd int, n []int) error) verb {
	return func(m *machine, a []string) (string, error) {
		n, err := numbers(a[1:], base)
		if err != nil {
			return "", err
		}
		fd, err := m.file(a[0])
		if err != nil {
			return "", err
		}
		return "ok", call(fd, n)
	}
}

// onTwo makes a verb of a call that takes two paths.
func onTwo(call func(p, q string) error) verb {
	return func(m *machine, a []string) (string, error) { return "ok", call(m.path(a[0]), m.path(a[1])) }
}

func numbers(a []string, base int) ([]int, error) {
	var out []int
	for _, s := range a {
		n, err := strconv.ParseInt(s, base, 64)
		if err != nil {
			return nil, errors.New("not a number: " + s)
		}
		out = append(out, int(n))
	}
	return out, nil
}

func decimal(call func(p string, n []int) error) verb {
	return func(m *machine, a []string) (string, error) {
		n, err := numbers(a[1:], 10)
		if err != nil {
			return "", err
		}
		return "ok", call(m.path(a[0]), n)
	}
}

// file is an open file; EBADF where opening it has failed.
func (m *machine) file(name string) (int, error) {
	fd, ok := m.files[name]
	if !ok {
		return -1, unix.EBADF
	}
	return fd, nil
}

var verbs = map[string]verb{
	"create": on(func(p string, n []int) error {
		fd, err := unix.Open(p, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, uint32(n[0]))
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}),
	"mkdir":     on(func(p string, n []int) error { return unix.Mkdir(p, uint32(n[0])) }),
	"mkfifo":    on(func(p string, n []int) error { return unix.Mkfifo(p, uint32(n[0])) }),
	"chmod":     on(func(p string, n []int) error { return unix.Chmod(p, uint32(n[0])) }),
	"fchmod":    onFile(8, func(fd int, n []int) error { return unix.Fchmod(fd, uint32(n[0])) }),
	"access":    on(func(p string, n []int) error { return unix.Access(p, uint32(n[0])) }),
	"rmdir":     on(func(p string, _ []int) error { return unix.Rmdir(p) }),
	"unlink":    on(func(p string, _ []int) error { return unix.Unlink(p) }),
	"chown":     decimal(func(p string, n []int) error { return unix.Chown(p, n[0], n[1]) }),
	"lchown":    decimal(func(p string, n []int) error { return unix.Lchown(p, n[0], n[1]) }),
	"fchown":    onFile(10, func(fd int, n []int) error { return unix.Fchown(fd, n[0], n[1]) }),
	"truncate":  decimal(func(p string, n []int) error { return unix.Truncate(p, int64(n[0])) }),
	"ftruncate": onFile(10, func(fd int, n []int) error { return unix.Ftruncate(fd, int64(n[0])) }),
	"fsync":     onFile(10, func(fd int, _ []int) error { return unix.Fsync(fd) }),
	"fdatasync": onFile(10, func(fd int, _ []int) error { return unix.Fdatasync(fd) }),
	"fallocate": onFile(10, func(fd int, n []int) error { return unix.Fallocate(fd, uint32(n[0]), int64(n[1]), int64(n[2])) }),
	"rename":    onTwo(unix.Rename),
	"exchange":  onTwo(func(p, q string) error { return unix.Renameat2(-1, p, -1, q, unix.RENAME_EXCHANGE) }),
	"noreplace": onTwo(func(p, q string) error { return unix.Renameat2(-1, p, -1, q, unix.RENAME_NOREPLACE) }),
	"link":      onTwo(unix.Link),
	"linkto":    onTwo(func(p, q string) error { return unix.Linkat(-1, p, -1, q, unix.AT_SYMLINK_FOLLOW) }),
	"symlink": func(m *machine, a []string) (string, error) {
		return "ok", unix.Symlink(strings.Replace(expand(a[0]), "''", "", 1), m.path(a[1]))
	},
	"mknod":   makeNode,
	"bind":    bind,
	"open":    open,
	"close":   closeFile,
	"write":   write,
	"read":    read,
	"seek":    seek,
	"stat":    func(m *machine, a []string) (string, error) { return stat(m.path(a[0]), unix.Stat) },
	"lstat":   func(m *machine, a []string) (string, error) { return stat(m.path(a[0]), unix.Lstat) },
	"fstat":   fstat,
	"times":   times,
	"utimens": func(m *machine, a []string) (string, error) { return utimens(m.path(a[0]), a[1:], 0) },
	"lutimens": func(m *machine, a []string) (string, error) {
		return utimens(m.path(a[0]), a[1:], unix.AT_SYMLINK_NOFOLLOW)
	},
	"tick":      func(*machine, []string) (string, error) { time.Sleep(30 * time.Millisecond); return "", nil },
	"mark":      mark,
	"moved":     moved,
	"readlink":  readlink,
	"ls":        list,
	"put":       put,
	"cat":       cat,
	"umask":     umask,
	"mapwrite":  mapWrite,
	"mapread":   mapRead,
	"direct":    direct,
	"same":      sameObject,
	"getxattr":  on(func(p string, _ []int) error { _, err := unix.Getxattr(p, "user.x", nil); return err }),
	"setxattr":  on(func(p string, _ []int) error { return unix.Setxattr(p, "user.x", []byte("v"), 0) }),
	"statfs":    statfs,
	"walk":      walk,
	"walkgone":  walkRemoving,
	"walkbusy":  walkChanging,
	"inodes":    inodes,
	"blocks":    blocks,
	"fill":      fill,
	"copyrange": copyRange,
}

func makeNode(m *machine, a []string) (string, error) {
	n, err := numbers(a[2:3], 8)
	if err != nil {
		return "", err
	}
	types := map[string]uint32{"file": unix.S_IFREG, "fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK, "char": unix.S_IFCHR, "block": unix.S_IFBLK, "dir": unix.S_IFDIR}
	dev := 0
	if a[1] == "char" || a[1] == "block" {
		dev = int(unix.Mkdev(7, 300))
		if len(a) > 3 {
			dev = int(unix.Mkdev(259, 70000))
		}
	}
	return "ok", unix.Mknod(m.path(a[0]), types[a[1]]|uint32(n[0]), dev)
}

// bind makes a socket with a name, and connects to it.
func bind(m *machine, a []string) (string, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return "", err
	}
	m.files[fmt.Sprint("socket ", fd)] = fd
	addr := &unix.SockaddrUnix{Name: m.path(a[0])}
	if err := unix.Bind(fd, addr); err != nil {
		return "", err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return "", err
	}
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(c)
	return "connected", unix.Connect(c, addr)
}

var openFlags = map[string]int{
	"R": unix.O_RDONLY, "W": unix.O_WRONLY, "RW": unix.O_RDWR, "CREAT": unix.O_CREAT, "EXCL": unix.O_EXCL, "TRUNC": unix.O_TRUNC,
	"APPEND": unix.O_APPEND, "NOFOLLOW": unix.O_NOFOLLOW, "DIRECTORY": unix.O_DIRECTORY, "DIRECT": unix.O_DIRECT, "SYNC": unix.O_SYNC,
	"PATH": unix.O_PATH, "NONBLOCK": unix.O_NONBLOCK, "TMPFILE": unix.O_TMPFILE, "NOATIME": unix.O_NOATIME,
}

// open SLOT PATH FLAG|FLAG... [MODE]
func open(m *machine, a []string) (string, error) {
	flags, mode := unix.O_CLOEXEC, []int{0o644}
	for f := range strings.SplitSeq(a[2], "|") {
		v, ok := openFlags[f]
		if !ok {
			return "", errors.New("no such flag: " + f)
		}
		flags |= v
	}
	var err error
	if len(a) > 3 {
		if mode, err = numbers(a[3:], 8); err != nil {
			return "", err
		}
	}
	fd, err := unix.Open(m.path(a[1]), flags, uint32(mode[0]))
	if err != nil {
		return "", err
	}
	if old, ok := m.files[a[0]]; ok {
		unix.Close(old)
	}
	m.files[a[0]] = fd
	return "ok", nil
}

func closeFile(m *machine, a []string) (string, error) {
	fd, err := m.file(a[0])
	if err != nil {
		return "", err
	}
	delete(m.files, a[0])
	return "ok", unix.Close(fd)
}

// write SLOT OFFSET|- TEXT|*N: N bytes of a pattern.
func write(m *machine, a []string) (string, error) {
	fd, err := m.file(a[0])
	if err != nil {
		return "", err
	}
	data := []byte(a[2])
	if s, ok := strings.CutPrefix(a[2], "*"); ok {
		n, err := strconv.Atoi(s)
		if err != nil {
			return "", err
		}
		data = bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
	}
	var n int
	if a[1] == "-" {
		n, err = unix.Write(fd, data)
	} else {
		off, perr := strconv.ParseInt(a[1], 10, 64)
		if perr != nil {
			return "", perr
		}
		n, err = unix.Pwrite(fd, data, off)
	}
	return fmt.Sprint(n), err
}

// read SLOT OFFSET|- COUNT
func read(m *machine, a []string) (string, error) {
	fd, err := m.file(a[0])
	if err != nil {
		return "", err
	}
	count, err := strconv.Atoi(a[2])
	if err != nil {
		return "", err
	}
	b := make([]byte, count)
	var n int
	if a[1] == "-" {
		n, err = unix.Read(fd, b)
	} else {
		off, perr := strconv.ParseInt(a[1], 10, 64)
		if perr != nil {
			return "", perr
		}
		n, err = unix.Pread(fd, b, off)
	}
	if err != nil {
		return "", err
	}
	return show(b[:n]), nil
}

func show(b []byte) string {
	if len(b) <= 40 {
		return strconv.Quote(string(b))
	}
	return fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b))
}

var whences = map[string]int{"set": unix.SEEK_SET, "cur": unix.SEEK_CUR, "end": unix.SEEK_END, "data": unix.SEEK_DATA, "hole": unix.SEEK_HOLE}

func seek(m *machine, a []string) (string, error) {
	fd, err := m.file(a[0])
	if err != nil {
		return "", err
	}
	off, err := strconv.ParseInt(a[1], 10, 64)
	if err != nil {
		return "", err
	}
	n, err := unix.Seek(fd, off, whences[a[2]])
	return fmt.Sprint(n), err
}

// list gives the names in a directory and their types, "." and ".." included.
func list(m *machine, a []string) (string, error) {
	fd, err := unix.Open(m.path(a[0]), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var names []string
	for {
		es, err := dirents(fd, 4096)
		if err != nil {
			return "", err
		}
		if len(es) == 0 {
			slices.Sort(names)
			return strings.Join(names, " "), nil
		}
		for _, e := range es {
			if !silly(e.name) {
				names = append(names, fmt.Sprintf("%s/%d", e.name, e.typ))
			}
		}
	}
}

// silly tells the names that the kernel's client gives to open files that are
// removed: NFSv3 has no open, so a server would not keep them.
func silly(name string) bool { return strings.HasPrefix(name, ".nfs") }

// put writes a whole file as a shell does.
func put(m *machine, a []string) (string, error) {
	if _, err := open(m, []string{"put", a[0], "W|CREAT|TRUNC"}); err != nil {
		return "", err
	}
	out, err := write(m, []string{"put", "-", a[1]})
	if _, cerr := closeFile(m, []string{"put"}); err == nil {
		err = cerr
	}
	return out, err
}

func cat(m *machine, a []string) (string, error) {
	fd, err := unix.Open(m.path(a[0]), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var all []byte
	b := make([]byte, 1<<16)
	for {
		n, err := unix.Read(fd, b)
		if err != nil || n == 0 {
			return show(all), err
		}
		all = append(all, b[:n]...)
	}
}

func umask(_ *machine, a []string) (string, error) {
	n, err := numbers(a, 8)
	if err == nil {
		unix.Umask(n[0])
	}
	return "", err
}

// mapWrite SLOT OFFSET TEXT writes through a shared mapping of the whole file.
func mapWrite(m *machine, a []string) (string, error) {
	fd, err := m.file(a[0])
	if err != nil {
		return "", err
	}
	off, err := strconv.Atoi(a[1])
	if err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	b, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return "", err
	}
	copy(b[off:], a[2])
	err = unix.Msync(b, unix.MS_SYNC)
	return "ok", errors.Join(err, unix.Munmap(b))
}

// mapRead SLOT OFFSET COUNT reads through a private mapping.
func mapRead(m *machine, a []string) (string, error) {
	fd, err := m.file(a[0])
	if err != nil {
		return "", err
	}
	n, err := numbers(a[1:], 10)
	if err != nil {
		return "", err
	}
	b, err := unix.Mmap(fd, 0, n[0]+n[1], unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return "", err
	}
	defer unix.Munmap(b)
	return show(bytes.Clone(b[n[0]:])), nil
}

// direct PATH writes and reads whole blocks past the page cache.
func direct(m *machine, a []string) (string, error) {
	fd, err := unix.Open(m.path(a[0]), unix.O_RDWR|unix.O_CREAT|unix.O_DIRECT|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	b, err := unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return "", err
	}
	defer unix.Munmap(b)
	for i := range b {
		b[i] = byte(i / 512)
	}
	n, err := unix.Pwrite(fd, b, 1<<16)
	if err != nil {
		return "", err
	}
	clear(b)
	k, err := unix.Pread(fd, b, 3<<15)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(n, " ", show(b[:k])), nil
}

// copyRange FROM TO: copy_file_range of all.
func copyRange(m *machine, a []string) (string, error) {
	in, err := os.Open(m.path(a[0]))
	if err != nil {
		return "", unix.ENOENT
	}
	defer in.Close()
	out, err := os.Create(m.path(a[1]))
	if err != nil {
		return "", unix.EACCES
	}
	defer out.Close()
	n, err := io.Copy(out, in)
	return fmt.Sprint(n), err
}
