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

// State is what is known of an object here and not on the remote.
type State uint8

// The bits of a State.
const (
	Created State = 1 << iota // the remote has nothing of it
	Staged                    // its bytes are not those of Version: package staging has what differs
	Local                     // stays on this computer: a side file of some program
	Moved                     // the remote has it at RParent and RName
	Gone                      // was removed here: a directory until the remote's is, a file as long as somebody may have it open
	Edited                    // Mode or Mtime were set here, and the remote has not got them

	allStates = 1<<iota - 1
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

	// What was changed here.
	State    State
	Mode     uint16 // permission bits; valid if HasMode
	HasMode  bool
	Atime    time.Time // as it was set last; zero: it was not
	RParent  uint64    // see Moved
	RName    string    // see Moved
	Base     int64     // bytes of Version that show below what is Staged
	RSize    int64     // size of Version while the node is Staged
	Verifier [8]byte   // of an exclusive creation, until attributes are set; zero: none
	// ListedAt is since when that listing counts, where only time can tell; zero:
	// it is not known, or names have changed since the times last moved.
	ListedAt time.Time

	// RemoteID is the remote's own id of the object, which stays when it is
	// renamed; "": it has none. See [Tx.Identify].
	RemoteID string
}

// local reports whether there is anything to tell of local changes.
func (n *Node) local() bool {
	return n.State != 0 || n.HasMode || n.Verifier != [8]byte{} || !n.Atime.IsZero()
}

// noTime stands for the zero time in a record.
const noTime = math.MinInt64

// fixed is the length of a record without its strings.
const fixed = 1 + 1 + 8 + 8 + 3*8 + 1 + 8 + 8 + 4 + 4 + 3*4

// The flags of a record, in the order in which encode has them. Those from
// flagLocal on are of format 2.
const (
	flagExec = 1 << iota
	flagComplete
	flagMissed
	flagTail
	flagLocal
	allFlags = 1<<iota - 1
)

// tail is the length of what flagTail adds, without its string.
const tail = 8 + 4

// encode gives the record of format 2: kind, flags, parent, size, mtime, ctime
// and remote time in nanoseconds since 1970, list revision, next cookie,
// subdirectories, hidden names, and then name, version and list version with
// their lengths. With flagTail follow the listing's time and the remote's id;
// with flagLocal state, mode (0x8000: there is one), atime, remote parent, base,
// remote size, verifier, and remote name. Format 1 had neither.
func (n *Node) encode() []byte {
	b := make([]byte, 0, fixed+tail+len(n.Name)+len(n.Version)+len(n.ListVersion)+len(n.RemoteID))
	var flags byte
	for i, set := range [...]bool{n.Exec, n.Complete, n.Missed, n.hasTail(), n.local()} {
		if set {
			flags |= flagExec << i
		}
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
	if n.local() {
		mode := n.Mode
		if n.HasMode {
			mode |= hasMode
		}
		b = append(b, byte(n.State))
		b = binary.BigEndian.AppendUint16(b, mode)
		b = binary.BigEndian.AppendUint64(b, uint64(nanos(n.Atime)))
		b = binary.BigEndian.AppendUint64(b, n.RParent)
		b = binary.BigEndian.AppendUint64(b, uint64(n.Base))
		b = binary.BigEndian.AppendUint64(b, uint64(n.RSize))
		b = append(b, n.Verifier[:]...)
		b = appendString(b, n.RName)
	}
	return b
}

// hasMode stands beside the permission bits of a record.
const hasMode = 0x8000

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
	n.Exec, n.Complete, n.Missed = flags&flagExec != 0, flags&flagComplete != 0, flags&flagMissed != 0
	n.Parent = d.uint64()
	n.Size = int64(d.uint64())
	n.Mtime, n.Ctime, n.RemoteTime = timeOf(int64(d.uint64())), timeOf(int64(d.uint64())), timeOf(int64(d.uint64()))
	n.ListRev = d.uint64()
	n.NextCookie = d.uint64()
	n.Subdirs = d.uint32()
	n.Hidden = d.uint32()
	n.Name, n.Version, n.ListVersion = d.string(), d.string(), d.string()
	if flags&flagTail != 0 {
		n.ListedAt, n.RemoteID = timeOf(int64(d.uint64())), d.string()
	}
	if flags&flagLocal != 0 {
		n.State = State(d.byte())
		mode := uint16(d.byte())<<8 | uint16(d.byte())
		n.Mode, n.HasMode = mode&^hasMode, mode&hasMode != 0
		n.Atime = timeOf(int64(d.uint64()))
		n.RParent, n.Base, n.RSize = d.uint64(), int64(d.uint64()), int64(d.uint64())
		copy(n.Verifier[:], d.take(8))
		n.RName = d.string()
		d.bad = d.bad || n.State&^allStates != 0 || n.Mode > 0o7777 || n.Base < 0 || n.RSize < 0 || !n.local()
	}
	if d.bad || len(d.b) > 0 || n.Kind < File || n.Kind > Link || flags > allFlags || n.hasTail() != (flags&flagTail != 0) || n.Size < -1 {
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
