// Package dirfs makes a folder of this computer an [nfs.FileSystem].
//
// Everything that the host's file system has is there: hard and symbolic
// links, owners, all mode bits, times to the nanosecond, special nodes, sparse
// files. What other programs change in the folder is seen at once, because
// attributes are asked of the host at every call (but see Listings).
//
// # Identity
//
// The id of an object is a hash of its volume, inode number, birth time, inode
// generation and type, as far as the host tells them. It is therefore the same
// after a rename and after a restart, needs no table to be right, and differs
// when the host gives the inode number to a new object. (On a host file system
// that knows neither birth time nor generation, such as some FUSE ones, a
// reused number of the same type cannot be told apart; on FAT and exFAT, whose
// inode numbers do not last, the parent and the name stand in for the number,
// and an object that is renamed has a new id; on overlayfs, a file of a lower
// layer has a new one when it is first written to.) What a table does keep is where
// an object was seen last. The table lives in Options.StateDir, about 70 bytes
// on disk and 30 to 60 bytes in memory per object; a lost record costs a search
// and never a wrong answer.
//
// An id whose last place is wrong, because something beside us renamed it, is
// searched: first among its siblings, then in the whole folder, in the
// background. Callers wait as long as their context allows. It is declared
// gone ([nfs.ErrStale]) when the host says that the inode does not exist, which
// it tells the superuser only, or after a whole pass did not meet it while no
// directory changed; in a folder that never rests, after eight passes.
//
// # Security
//
// The permissions that are checked are the caller's, by the mode bits. A POSIX
// access control list is not evaluated: where the process is the superuser, the
// bits of the group class stand for it. A process that is not the superuser has
// the host's limits on top; objects for other owners cannot be made then.
//
// Names are single components that are resolved against open directories, and
// symbolic links are never followed. A directory that was moved out of the
// folder can be reached for at most one more second; a file that was moved out
// or deleted, for as long as it is in use.
//
// Mounts of local file systems inside the folder are entered, as a person who
// looks at the folder would expect; [nfs.ErrXDev] answers links and renames
// across. Network and FUSE mounts, automount points and kernel file systems
// such as proc are shown, but not entered: a dead server behind them would
// block calls without a bound, and a drive mounted inside the folder that it
// exports would have no end.
//
// # Durability
//
// Namespace and attribute changes are synced before they return. A write that
// asks for it is synced, an unstable one is not until Commit. Before-attributes
// ([nfs.WCC]) are never given: other programs may change an object between our
// look at it and our change, and nothing on the host would show that.
//
// With a StateDir, the replies to the last few thousand changes outlive the
// process (nfs.ReplyKeeper), so that a client that repeats a call after a
// restart is told what the first one did. A change that the end of the process
// left unfinished is finished then. They are not synced: after a loss of power
// the client may be told ErrExist of what it made itself.
//
// # Listings
//
// On ext4 and xfs, whose positions in a directory stay with the names, a page of
// a listing costs what is on it, however large the directory. Elsewhere the
// first page costs a look at all names, about 0.7 s for a million, and the
// 128,000 names behind it are remembered while the directory does not change.
//
// On Linux the attributes of listed entries are remembered, too, as long as the
// kernel reports no change (inotify). What it does not report, changes by
// another hard link and of mapped memory, shows in listings after a second at
// the latest, and everywhere else at once.
package dirfs
