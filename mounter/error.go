package mounter

import "strings"

// Error is what the methods of Mounter fail with once a Spec is well formed. What
// and Do are sentences for a person; errors.Is finds Kind and Err.
type Error struct {
	Op   string // "mount" or "unmount"
	Dir  string
	Kind error    // one of the Err values of this package
	What string   // what happened
	Do   string   // what to do about it; may be ""
	Who  []string // with ErrBusy: programs that have files open, and mounts inside, as far as they are known
	Err  error    // the cause; may be nil. With ErrDir: fs.ErrNotExist, or syscall.ENOTDIR, ENOTEMPTY, ELOOP, EBUSY (mounted)
}

// Error gives all parts in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op + " " + e.Dir + ": " + e.Kind.Error() + ": " + e.What)
	if e.Do != "" {
		b.WriteString(" " + e.Do)
	}
	if e.Err != nil {
		b.WriteString(" (" + e.Err.Error() + ")")
	}
	return b.String()
}

// Unwrap gives Kind and, if there is one, the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

func dirError(dir, what, do string, cause error) error {
	return &Error{Op: "mount", Dir: dir, Kind: ErrDir, What: what, Do: do, Err: cause}
}
