package main

import "time"

// selfPID stands for this process.
const selfPID = -1

// cpuClock tells what processes use. A pid of 0 is a process that is not known,
// which uses nothing.
type cpuClock struct{}

// settle waits until a process is idle, for 2 s at most.
func (c cpuClock) settle(pid int) {
	if pid == 0 {
		return
	}
	const step = 20 * time.Millisecond
	before := c.used(pid)
	for range 100 {
		time.Sleep(step)
		now := c.used(pid)
		if now-before < step/20 {
			return
		}
		before = now
	}
}
