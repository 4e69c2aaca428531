package nfs

// The permission bits that [Permits] takes.
const (
	MayExec  uint32 = 1
	MayWrite uint32 = 2
	MayRead  uint32 = 4
)

// Permits reports whether the mode bits of a give c all of want, as POSIX
// decides it: the first class that c belongs to counts alone. The superuser
// (uid 0) may do everything, except execute a file that nobody may execute.
func Permits(c *Caller, a *Attr, want uint32) bool {
	if c.UID == 0 {
		return want&MayExec == 0 || a.Type == TypeDirectory || a.Mode&0o111 != 0
	}
	bits := a.Mode
	switch {
	case c.UID == a.UID:
		bits >>= 6
	case c.In(a.GID):
		bits >>= 3
	}
	return bits&want == want
}

// Accessible returns those bits of want (AccessRead and so on) that the mode
// bits of a give c. The owner's right to data of an open file is not part of
// it: a client asks this at open.
func Accessible(c *Caller, a *Attr, want uint32) uint32 {
	var granted uint32
	if Permits(c, a, MayRead) {
		granted |= AccessRead
	}
	if Permits(c, a, MayWrite) {
		granted |= AccessModify | AccessExtend
		if a.Type == TypeDirectory {
			granted |= AccessDelete
		}
	}
	if Permits(c, a, MayExec) {
		if a.Type == TypeDirectory {
			granted |= AccessLookup
		} else {
			granted |= AccessExecute
		}
	}
	return granted & want
}
