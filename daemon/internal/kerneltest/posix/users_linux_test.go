package posix

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A user is a thread with an identity of its own, which runs what it is given.
type user struct {
	uid, gid uint32
	groups   []uint32
	work     chan func()
	done     chan struct{}
}

// users are who the scripts know. All of "owner", "mate" (same group), "guest"
// (same group by a supplementary one) and "other" are ordinary.
func users() map[string]*user {
	m := map[string]*user{
		"root":  {uid: 0, gid: 0}, // any thread will do
		"owner": {uid: 1000, gid: 2000, groups: []uint32{3000}},
		"mate":  {uid: 1001, gid: 2000},
		"guest": {uid: 1002, gid: 2002, groups: []uint32{2001, 2000}},
		"other": {uid: 1003, gid: 2003},
	}
	for _, u := range m {
		if u.uid != 0 {
			u.start()
		}
	}
	return m
}

// start gives the user a thread.
func (u *user) start() {
	u.work, u.done = make(chan func()), make(chan struct{})
	go u.live()
}

// more are n more threads of the same person.
func (u *user) more(n int) []*user {
	var out []*user
	for range n {
		t := &user{uid: u.uid, gid: u.gid, groups: u.groups}
		t.start()
		out = append(out, t)
	}
	return out
}

// live keeps its thread: an identity belongs to a thread in Linux.
func (u *user) live() {
	runtime.LockOSThread()
	var p unsafe.Pointer
	if len(u.groups) > 0 {
		p = unsafe.Pointer(&u.groups[0])
	}
	calls := [][4]uintptr{
		{unix.SYS_SETGROUPS, uintptr(len(u.groups)), uintptr(p)},
		{unix.SYS_SETRESGID, uintptr(u.gid), uintptr(u.gid), uintptr(u.gid)},
		{unix.SYS_SETRESUID, uintptr(u.uid), uintptr(u.uid), uintptr(u.uid)},
	}
	for _, c := range calls {
		if _, _, e := unix.RawSyscall(c[0], c[1], c[2], c[3]); e != 0 {
			panic(e)
		}
	}
	for f := range u.work {
		f()
		u.done <- struct{}{}
	}
}

// alone is a computer with one user, who is the root of the scripts, too. What
// others do is left out.
func alone(m map[string]*user) map[string]*user {
	out := map[string]*user{}
	for name := range m {
		out[name] = nil
	}
	out["root"], out["owner"] = m["owner"], m["owner"]
	return out
}

// do runs f as this user.
func (u *user) do(f func()) {
	if u.work == nil {
		f()
		return
	}
	u.work <- f
	<-u.done
}
