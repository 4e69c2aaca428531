// Package protocol is what moorage-mount-helper and those who call it have in
// common: names, types and kinds of failure.
package protocol

import "fmt"

// Where the helper is on the system bus, and what polkit is asked.
const (
	Name   = "org.moorage.MountHelper1" // of the service and of its interface
	Path   = "/org/moorage/MountHelper1"
	Action = "org.moorage.mount"
)

// The verbs, with their arguments and results as D-Bus types.
const (
	// Listen (s drive, q port) → (h listener, q port): a TCP socket that listens on
	// 127.0.0.1 of the caller's network namespace, where nobody but the kernel's NFS
	// client is. The helper keeps a copy; as long as the drive is mounted, who asks
	// again gets the same socket. port is a wish; 0: any.
	Listen = "Listen"
	// Mount (s drive, s dir, s export, ay root, b readOnly) → (): mounts the drive that
	// is served on the listener. dir is an absolute path without symbolic links of a
	// folder that the caller owns.
	Mount = "Mount"
	// Unmount (s dir, b force) → (): takes a mount of the caller's away.
	Unmount = "Unmount"
	// List () → (a(ssq)): drive, dir and port of the caller's mounts.
	List = "List"
)

// Spec is what Mount is asked for.
type Spec struct {
	Drive    string // 16 hexadecimal digits
	Dir      string
	Export   string // "/", 32 hexadecimal digits, "/", a name
	Root     []byte // root file handle
	ReadOnly bool
}

// Mounted is one line of List.
type Mounted struct {
	Drive string
	Dir   string
	Port  uint16
}

// Kind is why the helper failed.
type Kind string

// The kinds. On the bus, an error's name is Name, ".Error." and one of them.
const (
	Denied      Kind = "Denied"      // polkit said no
	BadRequest  Kind = "BadRequest"  // what was asked is malformed
	BadDir      Kind = "BadDir"      // cannot be mounted on
	NotMounted  Kind = "NotMounted"  // the caller has no such mount
	Busy        Kind = "Busy"        // files are open, or too much at once
	Timeout     Kind = "Timeout"     //
	Unsupported Kind = "Unsupported" // the kernel has no NFS client
	Failed      Kind = "Failed"      // anything else
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{Denied, BadRequest, BadDir, NotMounted, Busy, Timeout, Unsupported, Failed}
}

// Error is a failure. What is a sentence for a person.
type Error struct {
	Kind Kind
	What string
	Err  error // the cause, which stays where it happened; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s (%v)", e.What, e.Err)
	}
	return e.What
}

func (e *Error) Unwrap() error { return e.Err }

// ErrorName is the name of a kind on the bus.
func ErrorName(k Kind) string { return Name + ".Error." + string(k) }

// Request is what is asked of "moorage-mount-helper once" on its standard input, as
// JSON: a Spec with the port of a server on 127.0.0.1 of this computer, or an unmount.
type Request struct {
	Mount   *Spec  `json:",omitempty"`
	Port    uint16 `json:",omitempty"`
	Unmount string `json:",omitempty"` // dir
	Force   bool   `json:",omitempty"`
}

// Answer is what it writes to its standard output.
type Answer struct {
	Kind Kind   `json:",omitempty"` // "": done
	What string `json:",omitempty"`
}
