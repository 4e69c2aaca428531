package drive

import (
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/moorage/moorage/daemon/internal/drive/nodes"
	"github.com/moorage/moorage/providers"
)

// showable reports whether a name of a remote can be a name on a drive. Others
// are left out: they could lead elsewhere, or break the client's listing.
func showable(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 255 || !utf8.ValidString(name) {
		return false
	}
	return !strings.ContainsAny(name, "/\x00")
}

// kindOf tells what an entry becomes; false: nothing that a drive shows.
func kindOf(e providers.Entry) (nodes.Kind, bool) {
	switch e.Mode.Type() {
	case 0:
		return nodes.File, true
	case fs.ModeDir:
		return nodes.Dir, true
	case fs.ModeSymlink:
		return nodes.Link, true
	}
	return 0, false
}

// step is the least by which times are moved; Windows tells 100 ns apart.
const step = time.Microsecond

// newNode makes the node of an entry that was not known.
func newNode(id, parent uint64, e providers.Entry, kind nodes.Kind, now time.Time) nodes.Node {
	n := nodes.Node{
		ID: id, Parent: parent, Name: e.Name, Kind: kind, Exec: e.Mode&0o111 != 0, Size: e.Size,
		Mtime: e.ModTime, RemoteTime: e.ModTime, Version: string(e.Version),
	}
	if n.Mtime.IsZero() {
		n.Mtime = now
	}
	n.Ctime = n.Mtime
	if kind == nodes.Dir {
		n.Size, n.NextCookie = 0, nodes.FirstCookie
	}
	return n
}

// sameContent reports whether an entry shows the content that n knows.
func sameContent(n *nodes.Node, e providers.Entry) bool {
	if n.Kind == nodes.Dir {
		return true // its names are compared when it is listed
	}
	if e.Version != "" && n.Version != "" {
		// What stands for a file elsewhere (Git LFS) shows as that file or as itself.
		return string(e.Version) == n.Version && (e.Size < 0 || n.Size < 0 || e.Size == n.Size)
	}
	return (e.Size < 0 || n.Size < 0 || e.Size == n.Size) && e.ModTime.Equal(n.RemoteTime)
}

// merge brings n to what the remote says now and reports whether anything is
// different. Clients drop what they have cached of a file when its mtime
// moves, so it moves with the content, also where the remote's does not. In a
// repository, where every revision has a time of its own, it moves with the
// content only, as in a checkout.
func merge(n *nodes.Node, e providers.Entry, repository bool, now time.Time) bool {
	was := *n
	same := sameContent(n, e)
	n.Exec = e.Mode&0o111 != 0
	if !same {
		n.State &^= nodes.Edited
		n.HasMode, n.Mode = false, 0
	}
	n.Version = string(e.Version)
	if n.Kind != nodes.Dir && (e.Size >= 0 || !same) {
		n.Size = e.Size
	}
	if !e.ModTime.IsZero() && !e.ModTime.Equal(n.RemoteTime) {
		n.RemoteTime = e.ModTime
		if !(same && repository) && (n.Kind != nodes.Dir || e.ModTime.After(n.Mtime)) {
			n.Mtime = e.ModTime
		}
	}
	if !same && n.Mtime.Equal(was.Mtime) {
		n.Mtime = was.Mtime.Add(step)
		if e.ModTime.IsZero() && now.After(n.Mtime) {
			n.Mtime = now
		}
	}
	if n.Exec != was.Exec || n.Size != was.Size || !n.Mtime.Equal(was.Mtime) {
		n.Ctime = later(was.Ctime, now)
	}
	return *n != was
}

// later is now, or right after t if the clock stands before it.
func later(t, now time.Time) time.Time {
	if now.After(t) {
		return now
	}
	return t.Add(step)
}

// moveDir moves the times of a directory whose names have changed.
func moveDir(n *nodes.Node, now time.Time) {
	switch {
	case n.RemoteTime.IsZero():
		n.Mtime = later(n.Mtime, now)
	case n.RemoteTime.After(n.Mtime):
		n.Mtime = n.RemoteTime
	default:
		n.Mtime = n.Mtime.Add(step)
	}
	n.Ctime = later(n.Ctime, now)
}
