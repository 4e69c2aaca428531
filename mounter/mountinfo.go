package mounter

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

// mountinfo is one line of /proc/self/mountinfo, proc_pid_mountinfo(5).
type mountinfo struct {
	id, parent int
	point      string // where it is mounted
	options    string // of the mount
	fstype     string
	source     string
	super      string // options of the file system
}

// readMountinfo reads all lines. One that does not parse is left out: the kernel
// may add to the format, and one odd mount must not hide the others.
func readMountinfo(r io.Reader) ([]mountinfo, error) {
	sc := bufio.NewScanner(io.LimitReader(r, maxMountinfo))
	sc.Buffer(nil, maxMountinfoLine)
	var all []mountinfo
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

func parseMountinfo(line string) (mountinfo, error) {
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
		return mountinfo{}, fmt.Errorf("mount table: line without its parts")
	}
	var mi mountinfo
	var err error
	if mi.id, err = strconv.Atoi(f[0]); err != nil {
		return mountinfo{}, fmt.Errorf("mount table: id: %w", err)
	}
	if mi.parent, err = strconv.Atoi(f[1]); err != nil {
		return mountinfo{}, fmt.Errorf("mount table: parent: %w", err)
	}
	mi.point = unescapeOctal(f[4])
	mi.options = f[5]
	mi.fstype = f[sep+1]
	mi.source = unescapeOctal(f[sep+2])
	mi.super = f[sep+3]
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

func (mi mountinfo) isNFS() bool { return mi.fstype == "nfs" || mi.fstype == "nfs4" }

// mount gives mi as callers see it. The kernel tells a port unless it is 2049,
// and the MOUNT port if there was one; ours are the same.
func (mi mountinfo) mount() Mount {
	m := Mount{Source: mi.source, Dir: mi.point, Export: exportOf(mi.source)}
	for _, list := range []string{mi.options, mi.super} {
		for o := range strings.SplitSeq(list, ",") {
			k, v, _ := strings.Cut(o, "=")
			switch k {
			case "ro":
				m.ReadOnly = true
			case "port":
				m.Port = parsePort(v)
			case "mountport":
				if m.Port == 0 {
					m.Port = parsePort(v)
				}
			}
		}
	}
	return m
}

// address is where the server of an NFS mount is, "" if the kernel does not tell.
func (mi mountinfo) address() string {
	for o := range strings.SplitSeq(mi.super, ",") {
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

// exportOf gives the path of "host:/path", or of "[v6]:/path".
func exportOf(source string) string {
	if i := strings.Index(source, ":/"); i >= 0 {
		return source[i+1:]
	}
	return ""
}
