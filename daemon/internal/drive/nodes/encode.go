package nodes

import (
	"encoding/binary"
	"math"
	"time"
)

// Kind is what a node is.
type Kind uint8

// The kinds of nodes.
const (
	File Kind = 1 + iota
	Dir
	Link
)

// Node is what is known of one object.
type Node struct {
	ID     uint64 // the key; not in the record
	Parent uint64 // of the root: itself
	Name   string
	Kind   Kind
	Exec   bool
	Size   int64 // bytes; -1: not known yet

	// What clients see. Both move when the content changes, whatever the remote
	// says, since clients drop their caches by them.
	Mtime, Ctime time.Time

	RemoteTime time.Time // what the remote said last; zero: nothing
	Version    string    // the remote's; "": not known

	// Of directories.
	Complete    bool   // all names of one listing are there
	ListVersion string // Version of the directory before that listing was made
	ListRev     uint64 // revision of the remote before that listing; 0: not known
	NextCookie  uint64 // for the next new name
	Missed      bool   // somebody was told that a name is not there, before there was a listing
	Subdirs     uint32
	Hidden      uint32 // names of the remote that cannot be shown

	// ListedAt is since when that listing counts, where only time can tell; zero:
	// it is not known, or names have changed since the times last moved.
	ListedAt time.Time

	// RemoteID is the remote's own id of the object, which stays when it is
	// renamed; "": it has none. See [Tx.Identify].
	RemoteID string
}

// noTime stands for the zero time in a record.
const noTime = math.MinInt64

// fixed is the length of a record without its strings.
const fixed = 1 + 1 + 8 + 8 + 3*8 + 1 + 8 + 8 + 4 + 4 + 3*4

// tail is the length of what format 2 adds, without its string.
const tail = 8 + 4

// encode gives the record of format 1: kind, flags (1 executable, 2 complete, 4 missed,
// 8 see below), parent, size, mtime, ctime and remote time in nanoseconds since
// 1970, list revision, next cookie, subdirectories, hidden names, and then
// name, version and list version with their lengths. Format 2 adds, with flag
// 8 and if one of them is set, the listing's time and the remote's id.
func (n *Node) encode() []byte {
	b := make([]byte, 0, fixed+tail+len(n.Name)+len(n.Version)+len(n.ListVersion)+len(n.RemoteID))
	var flags byte
	if n.Exec {
		flags |= 1
	}
	if n.Complete {
		flags |= 2
	}
	if n.Missed {
		flags |= 4
	}
	if n.hasTail() {
		flags |= 8
	}
	b = append(b, byte(n.Kind), flags)
	b = binary.BigEndian.AppendUint64(b, n.Parent)
	b = binary.BigEndian.AppendUint64(b, uint64(n.Size))
	for _, t := range []time.Time{n.Mtime, n.Ctime, n.RemoteTime} {
		b = binary.BigEndian.AppendUint64(b, uint64(nanos(t)))
	}
	b = binary.BigEndian.AppendUint64(b, n.ListRev)
	b = binary.BigEndian.AppendUint64(b, n.NextCookie)
	b = binary.BigEndian.AppendUint32(b, n.Subdirs)
	b = binary.BigEndian.AppendUint32(b, n.Hidden)
	for _, s := range []string{n.Name, n.Version, n.ListVersion} {
		b = appendString(b, s)
	}
	if n.hasTail() {
		b = binary.BigEndian.AppendUint64(b, uint64(nanos(n.ListedAt)))
		b = appendString(b, n.RemoteID)
	}
	return b
}

func (n *Node) hasTail() bool { return !n.ListedAt.IsZero() || n.RemoteID != "" }

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

var (
	minTime = time.Unix(0, noTime+1)
	maxTime = time.Unix(0, math.MaxInt64)
)

// nanos takes times that do not fit to the nearest that does.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return noTime
	case t.Before(minTime):
		return noTime + 1
	case t.After(maxTime):
		return math.MaxInt64
	}
	return t.UnixNano()
}

func timeOf(ns int64) time.Time {
	if ns == noTime {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

func decodeNode(b []byte) (Node, error) {
	var n Node
	d := decoder{b: b}
	n.Kind = Kind(d.byte())
	flags := d.byte()
	n.Exec, n.Complete, n.Missed = flags&1 != 0, flags&2 != 0, flags&4 != 0
	n.Parent = d.uint64()
	n.Size = int64(d.uint64())
	n.Mtime, n.Ctime, n.RemoteTime = timeOf(int64(d.uint64())), timeOf(int64(d.uint64())), timeOf(int64(d.uint64()))
	n.ListRev = d.uint64()
	n.NextCookie = d.uint64()
	n.Subdirs = d.uint32()
	n.Hidden = d.uint32()
	n.Name, n.Version, n.ListVersion = d.string(), d.string(), d.string()
	if flags&8 != 0 {
		n.ListedAt, n.RemoteID = timeOf(int64(d.uint64())), d.string()
	}
	if d.bad || len(d.b) > 0 || n.Kind < File || n.Kind > Link || flags > 15 || n.hasTail() != (flags&8 != 0) || n.Size < -1 {
		return Node{}, ErrCorrupt
	}
	return n, nil
}

// decoder takes pieces off b; bad says that b was too short.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) string() string { return string(d.take(uint64(d.uint32()))) }
