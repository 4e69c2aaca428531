//go:build linux || darwin

package dirfs

import (
	"golang.org/x/sys/unix"

	"github.com/moorage/moorage/nfs"
)

// KeptReply implements nfs.ReplyKeeper.
func (f *FS) KeptReply(key nfs.CallKey) ([]byte, bool) { return f.replies.kept(key) }

// KeepReply implements nfs.ReplyKeeper.
func (f *FS) KeepReply(key nfs.CallKey, reply []byte) { f.replies.keep(key, reply) }

// made reports whether o is what the call made: the name was free when it
// began. Where the host does not tell when an object was made, that has to do.
func (in *intent) made(o *object, typ nfs.FileType, v *volume) bool {
	return in.id == 0 && o.attr.Type == typ && (o.birth == 0 || o.birth >= in.begun-2*int64(v.accuracy))
}

// means reports whether name in dir is a name of id.
func (f *FS) means(dir nfs.ID, d *desc, name string, id nfs.ID) (bool, error) {
	cd, o, err := f.child(dir, d, name)
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	unix.Close(cd.fd)
	return o.attr.ID == id, nil
}

// notOurs in the place of unlink's flags keeps settle from taking an object away
// that an earlier process made, as it seems.
const notOurs = -1

// createAgain goes on with a file that an earlier process made for the same
// call, and may not have finished. It takes cd over.
func (f *FS) createAgain(c *nfs.Caller, dir nfs.ID, d *desc, da *nfs.Attr, name string, how *nfs.CreateHow, cd *desc) (nfs.Attr, error) {
	defer unix.Close(cd.fd)
	n, err := newFile(c, da, how)
	if err != nil {
		return nfs.Attr{}, err
	}
	if err := chmodFD(cd, 0o600); err != nil {
		return nfs.Attr{}, err
	}
	fd, err := f.reopen(cd, unix.O_RDWR)
	if err != nil {
		return nfs.Attr{}, err
	}
	return f.settleFile(dir, d, name, fd, n, notOurs, func() {})
}
