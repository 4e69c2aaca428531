package stress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockHelper is the value of guestEnv for a process that locks what it is told.
const lockHelper = "locker"

// lockLimit is how long a lock may take that is free, or becomes free.
const lockLimit = 30 * time.Second

// locker carries out commands, one a line, and answers each with a line:
//
//	open NAME PATH r|rw          opens PATH; NAME stands for it from then on
//	close NAME
//	reset                        closes all
//	flock NAME sh|ex|un [wait]   flock(2)
//	range NAME rd|wr|un FROM LENGTH [wait]    fcntl(2), POSIX locks
//	ofd NAME rd|wr|un FROM LENGTH [wait]      the same, of the open file
//	who NAME rd|wr FROM LENGTH   who would be in the way: "free" or "TYPE PID FROM LENGTH"
//	count NAME N                 N times: lock all, add 1 to the number in the file, unlock
//
// Without wait, a lock that is not free is EAGAIN.
func locker(in io.Reader, out io.Writer) error {
	files := map[string]int{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer, err := obey(files, strings.Fields(lines.Text()))
		var e unix.Errno
		if errors.As(err, &e) {
			answer = unix.ErrnoName(e)
		} else if err != nil {
			return err
		}
		fmt.Fprintln(out, answer)
	}
	return lines.Err()
}

func obey(files map[string]int, a []string) (string, error) {
	if a[0] == "reset" {
		for _, fd := range files {
			unix.Close(fd)
		}
		clear(files)
		return "ok", nil
	}
	wait := a[len(a)-1] == "wait"
	fd := files[a[1]]
	switch a[0] {
	case "open":
		flags := map[string]int{"r": unix.O_RDONLY, "rw": unix.O_RDWR | unix.O_CREAT}[a[3]]
		fd, err := unix.Open(a[2], flags|unix.O_CLOEXEC, 0o644)
		files[a[1]] = fd
		return "ok", err
	case "close":
		delete(files, a[1])
		return "ok", unix.Close(fd)
	case "flock":
		how := map[string]int{"sh": unix.LOCK_SH, "ex": unix.LOCK_EX, "un": unix.LOCK_UN}[a[2]]
		if !wait {
			how |= unix.LOCK_NB
		}
		return "ok", unix.Flock(fd, how)
	case "count":
		n, err := strconv.Atoi(a[2])
		if err != nil {
			return "", err
		}
		return "ok", count(fd, n)
	}
	l := unix.Flock_t{Type: map[string]int16{"rd": unix.F_RDLCK, "wr": unix.F_WRLCK, "un": unix.F_UNLCK}[a[2]]}
	var err1, err2 error
	l.Start, err1 = strconv.ParseInt(a[3], 10, 64)
	l.Len, err2 = strconv.ParseInt(a[4], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	how := map[string]int{"range": unix.F_SETLK, "rangewait": unix.F_SETLKW, "ofd": unix.F_OFD_SETLK, "ofdwait": unix.F_OFD_SETLKW, "who": unix.F_GETLK}
	name := a[0]
	if wait {
		name += "wait"
	}
	cmd, ok := how[name]
	if !ok {
		return "", errors.New("no such command: " + name)
	}
	if err := unix.FcntlFlock(uintptr(fd), cmd, &l); err != nil || a[0] != "who" {
		return "ok", err
	}
	if l.Type == unix.F_UNLCK {
		return "free", nil
	}
	return fmt.Sprintf("%s %d %d %d", map[int16]string{unix.F_RDLCK: "rd", unix.F_WRLCK: "wr"}[l.Type], l.Pid, l.Start, l.Len), nil
}

// count adds 1 to the number in the file, n times, each time under a lock.
func count(fd, n int) error {
	b := make([]byte, 8)
	for range n {
		l := unix.Flock_t{Type: unix.F_WRLCK}
		if err := unix.FcntlFlock(uintptr(fd), unix.F_SETLKW, &l); err != nil {
			return err
		}
		if _, err := unix.Pread(fd, b, 0); err != nil {
			return err
		}
		v, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		if _, err := unix.Pwrite(fd, fmt.Appendf(nil, "%8d", v+1), 0); err != nil {
			return err
		}
		l.Type = unix.F_UNLCK
		if err := unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &l); err != nil {
			return err
		}
	}
	return nil
}

// A process is a locker.
type process struct {
	cmd     *exec.Cmd
	dead    bool
	in      io.WriteCloser
	answers chan string
}

func newProcess() (*process, error) {
	p := &process{cmd: exec.Command("/proc/self/exe"), answers: make(chan string)}
	p.cmd.Env = append(os.Environ(), guestEnv+"="+lockHelper)
	p.cmd.Stderr = os.Stdout
	in, err := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	p.in = in
	go func() {
		defer close(p.answers)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.answers <- s.Text()
		}
	}()
	return p, p.cmd.Start()
}

// end kills the process and waits for it.
func (p *process) end() {
	p.dead = true
	p.cmd.Process.Kill()
	for range p.answers {
	}
	p.cmd.Wait()
}

func (p *process) send(line string) error {
	_, err := fmt.Fprintln(p.in, line)
	return err
}

func (p *process) answer() (string, error) {
	select {
	case s, ok := <-p.answers:
		if !ok {
			return "", errors.New("the process has ended")
		}
		return s, nil
	case <-time.After(lockLimit):
		return "", errors.New("no answer")
	}
}

// waits returns when the process stands in the kernel's queue for a lock.
func (p *process) waits() error {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile("/proc/locks")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) { // 1: -> FLOCK ADVISORY WRITE 123 00:2a:5 0 EOF; those of open files name no process
			if w := strings.Fields(line); len(w) > 5 && w[1] == "->" && (w[5] == strconv.Itoa(p.cmd.Process.Pid) || w[2] == "OFDLCK") {
				return nil
			}
		}
		if time.Since(began) > lockLimit {
			return fmt.Errorf("process %d does not wait for a lock:\n%s", p.cmd.Process.Pid, b)
		}
	}
}

// lockChecks are scripts of two processes and what they are answered. Each has a
// file "f" of its own. Beside the commands of locker there are
//
//	a: +COMMAND   a is told to wait, and must be standing in the queue
//	a: answer     what a was waiting for
//	a: dies       a is killed
//
// $a and $b in an answer stand for the processes' numbers.
var lockChecks = []struct{ name, script string }{
	{"flock: conflict, release", `
		a: flock f ex -> ok
		b: flock f ex -> EAGAIN
		b: flock f sh -> EAGAIN
		a: flock f un -> ok
		b: flock f sh -> ok
		a: flock f sh -> ok
		a: flock f ex -> EAGAIN
		b: flock f un -> ok
		a: flock f ex -> ok
		b: flock f sh -> EAGAIN
		a: flock f sh -> ok
		b: flock f sh -> ok`},
	{"flock: waiting until it is released", `
		a: flock f ex -> ok
		b: +flock f ex wait
		a: flock f un -> ok
		b: answer -> ok
		a: flock f sh -> EAGAIN`},
	{"flock: waiting to be alone", `
		a: flock f sh -> ok
		b: flock f sh -> ok
		b: +flock f ex wait
		a: close f -> ok
		b: answer -> ok`},
	{"flock: the holder closes", `
		a: flock f ex -> ok
		b: +flock f sh wait
		a: close f -> ok
		b: answer -> ok`},
	{"flock: the holder dies", `
		a: flock f ex -> ok
		b: +flock f ex wait
		a: dies
		b: answer -> ok`},
	{"flock: two open files of one process", `
		a: open g $f r -> ok
		a: flock f ex -> ok
		a: flock g ex -> EAGAIN
		a: close f -> ok
		a: flock g ex -> ok`},
	{"ranges: overlap, apart", `
		a: range f wr 0 100 -> ok
		b: range f wr 100 100 -> ok
		b: range f wr 99 1 -> EAGAIN
		b: range f rd 50 1000 -> EAGAIN
		b: who f wr 0 0 -> wr $a 0 100
		a: who f rd 0 0 -> wr $b 100 100
		a: who f rd 0 100 -> free
		a: range f un 40 20 -> ok
		b: range f wr 40 20 -> ok
		b: range f wr 39 1 -> EAGAIN
		b: range f wr 60 1 -> EAGAIN
		a: range f wr 1000000000000 0 -> ok
		b: range f rd 5000000000000 1 -> EAGAIN
		a: range f un 0 0 -> ok
		b: range f wr 0 0 -> ok`},
	{"ranges: upgrade, downgrade", `
		a: range f rd 0 10 -> ok
		b: range f rd 0 10 -> ok
		a: range f wr 0 10 -> EAGAIN
		b: range f un 0 5 -> ok
		a: range f wr 0 5 -> ok
		a: range f wr 5 5 -> EAGAIN
		b: range f un 5 5 -> ok
		a: range f wr 0 10 -> ok
		b: range f rd 0 1 -> EAGAIN
		a: range f rd 0 10 -> ok
		b: range f rd 0 1 -> ok`},
	{"ranges: waiting until it is released", `
		a: range f wr 0 0 -> ok
		b: +range f rd 10 10 wait
		a: range f un 0 10 -> ok
		a: range f un 10 10 -> ok
		b: answer -> ok
		a: who f wr 0 0 -> rd $b 10 10`},
	{"ranges: an upgrade waits", `
		a: range f rd 0 10 -> ok
		b: range f rd 0 10 -> ok
		b: +range f wr 0 10 wait
		a: range f un 0 10 -> ok
		b: answer -> ok`},
	{"ranges: two wait for each other", `
		a: range f wr 0 1 -> ok
		b: range f wr 1 1 -> ok
		a: +range f wr 1 1 wait
		b: range f wr 0 1 wait -> EDEADLK
		b: range f un 1 1 -> ok
		a: answer -> ok`},
	{"ranges: the holder closes another descriptor", `
		a: open g $f r -> ok
		a: range f wr 0 10 -> ok
		b: +range f wr 0 10 wait
		a: close g -> ok
		b: answer -> ok`},
	{"ranges: the holder dies", `
		a: range f wr 0 10 -> ok
		b: +range f wr 5 1 wait
		a: dies
		b: answer -> ok
		b: who f wr 0 0 -> free`},
	{"ranges: who waits dies", `
		a: range f wr 0 10 -> ok
		b: +range f wr 0 10 wait
		b: dies
		a: range f un 0 10 -> ok
		a: who f wr 0 0 -> free`},
	{"ranges: the mode of the descriptor", `
		a: open g $f r -> ok
		a: range g rd 0 1 -> ok
		a: range g wr 0 1 -> EBADF`},
	{"ranges of open files", `
		a: open g $f rw -> ok
		a: ofd f wr 0 10 -> ok
		a: ofd g wr 5 1 -> EAGAIN
		b: ofd f rd 0 1 -> EAGAIN
		b: range f rd 0 1 -> EAGAIN
		b: +ofd f wr 9 1 wait
		a: close f -> ok
		b: answer -> ok`},
	{"flock and ranges do not meet", `
		a: flock f ex -> ok
		b: range f wr 0 0 -> ok
		b: flock f sh -> EAGAIN
		a: range f rd 0 1 -> EAGAIN`},
	{"a number that two add to", `
		a: +count f 50
		b: count f 50 -> ok
		a: answer -> ok
		b: count f 1 -> ok
		sum: 101`},
}

// locks runs the lock checks in dir.
func locks(dir string) error {
	ps := map[string]*process{}
	defer func() {
		for _, p := range ps {
			p.end()
		}
	}()
	for i, c := range lockChecks {
		if err := lockCheck(ps, filepath.Join(dir, fmt.Sprintf("lock%d", i)), c.script); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// lockCheck runs one script. Processes that live are used again.
func lockCheck(ps map[string]*process, file, script string) error {
	replace := []string{"$f", file}
	for _, name := range []string{"a", "b"} {
		p := ps[name]
		if p == nil || p.dead {
			var err error
			if p, err = newProcess(); err != nil {
				return err
			}
			ps[name] = p
		}
		replace = append(replace, "$"+name, strconv.Itoa(p.cmd.Process.Pid))
		if err := errors.Join(p.send("reset"), p.expect("ok"), p.send("open f "+file+" rw"), p.expect("ok")); err != nil {
			return err
		}
	}
	script = strings.NewReplacer(replace...).Replace(script)
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		who, what, _ := strings.Cut(line, ": ")
		if err := lockStep(ps[who], file, what); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return os.Remove(file)
}

func lockStep(p *process, file, what string) error {
	what, want, _ := strings.Cut(what, " -> ")
	if p == nil { // sum
		b, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(b)) != what {
			err = fmt.Errorf("it is %q", b)
		}
		return err
	}
	command, waits := strings.CutPrefix(what, "+")
	switch {
	case what == "dies":
		p.end()
		return nil
	case what == "answer":
		return p.expect(want)
	case waits && strings.HasPrefix(command, "count"):
		return p.send(command)
	case waits:
		return errors.Join(p.send(command), p.waits())
	default:
		return errors.Join(p.send(command), p.expect(want))
	}
}

func (p *process) expect(want string) error {
	got, err := p.answer()
	if err == nil && got != want {
		err = fmt.Errorf("got %s", got)
	}
	return err
}
