package linuxnfs

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of what is read from /proc/self/mountinfo.
const (
	maxMountinfo     = 64 << 20 // bytes
	maxMountinfoLine = 64 << 10
)

// Entry is one line of /proc/self/mountinfo, proc_pid_mountinfo(5).
type Entry struct {
	ID, Parent int
	Point      string // where it is mounted
	Options    string // of the mount
	FSType     string
	Source     string
	Super      string // options of the file system
}

// ReadMountinfo reads all lines. One that does not parse is left out: the kernel
// may add to the format, and one odd mount must not hide the others.
func ReadMountinfo(r io.Reader) ([]Entry, error) {
	sc := bufio.NewScanner(io.LimitReader(r, maxMountinfo))
	sc.Buffer(nil, maxMountinfoLine)
	var all []Entry
	for sc.Scan() {
		if mi, err := parseMountinfo(sc.Text()); err == nil {
			all = append(all, mi)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read mount table: %w", err)
	}
	return all, nil
}

func parseMountinfo(line string) (Entry, error) {
	f := strings.Split(line, " ")
	// id parent major:minor root point options [optional …] - type source super
	sep := -1
	for i := 6; i < len(f); i++ {
		if f[i] == "-" {
			sep = i
			break
		}
	}
	if sep < 0 || len(f) < sep+4 {
		return Entry{}, fmt.Errorf("mount table: line without its parts")
	}
	var mi Entry
	var err error
	if mi.ID, err = strconv.Atoi(f[0]); err != nil {
		return Entry{}, fmt.Errorf("mount table: id: %w", err)
	}
	if mi.Parent, err = strconv.Atoi(f[1]); err != nil {
		return Entry{}, fmt.Errorf("mount table: parent: %w", err)
	}
	mi.Point = unescapeOctal(f[4])
	mi.Options = f[5]
	mi.FSType = f[sep+1]
	mi.Source = unescapeOctal(f[sep+2])
	mi.Super = f[sep+3]
	return mi, nil
}

// unescapeOctal takes back what the kernel's mangle() did: a backslash and three
// octal digits stand for one byte.
func unescapeOctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b = append(b, byte(v))
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// IsNFS tells whether it is a mount of the NFS client.
func (mi Entry) IsNFS() bool { return mi.FSType == "nfs" || mi.FSType == "nfs4" }

// Port is the server's, 0 if the kernel does not tell. It tells one unless it is
// 2049, and the MOUNT port if there was one; ours are the same.
func (mi Entry) Port() uint16 {
	var port uint16
	for o := range strings.SplitSeq(mi.Super, ",") {
		k, v, _ := strings.Cut(o, "=")
		switch {
		case k == "port":
			port = parsePort(v)
		case k == "mountport" && port == 0:
			port = parsePort(v)
		}
	}
	return port
}

// ReadOnly tells whether nothing can be written through it.
func (mi Entry) ReadOnly() bool {
	return hasOption(mi.Options, "ro") || hasOption(mi.Super, "ro")
}

func hasOption(list, option string) bool {
	for o := range strings.SplitSeq(list, ",") {
		if o == option {
			return true
		}
	}
	return false
}

// Address is where the server of an NFS mount is, "" if the kernel does not tell.
func (mi Entry) Address() string {
	for o := range strings.SplitSeq(mi.Super, ",") {
		if a, ok := strings.CutPrefix(o, "addr="); ok {
			return a
		}
	}
	return ""
}

func parsePort(s string) uint16 {
	p, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(p)
}
