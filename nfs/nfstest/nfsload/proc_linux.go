package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// systemNote is the kernel's release and how busy the computer is.
func systemNote() string {
	release, err1 := os.ReadFile("/proc/sys/kernel/osrelease")
	load, err2 := os.ReadFile("/proc/loadavg")
	if err1 != nil || err2 != nil {
		return ""
	}
	one, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf(", Linux %s, load average %s at the start", bytes.TrimSpace(release), one)
}

// used is the processor time of all threads of a process, also of those that
// have ended, to the nanosecond; 0 if it cannot be told.
func (cpuClock) used(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	if pid == selfPID {
		pid = os.Getpid()
	}
	// The clock of another process, as clock_getcpuclockid(3) makes it.
	const schedClock = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// resetPeak forgets the peak of the memory of a process, if the system lets us.
func (cpuClock) resetPeak(pid int) {
	if pid > 0 {
		os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	}
}

// peak is the most memory that a process had resident, in bytes.
func (cpuClock) peak(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		var kib int
		if n, _ := fmt.Sscanf(string(line), "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// listenerPID is the process that listens on addr, a TCP address of this
// computer; 0 if there is none that we may look at.
func listenerPID(addr string) int {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			const listening = "0A"
			if len(f) > 9 && f[3] == listening && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
				sockets["socket:["+f[9]+"]"] = true
			}
		}
	}
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil || len(sockets) == 0 {
		return 0
	}
	for _, f := range files {
		if to, err := os.Readlink(f); err == nil && sockets[to] {
			pid, _ := strconv.Atoi(strings.Split(f, "/")[2])
			return pid
		}
	}
	return 0
}
